"""Many independent units of work, two at a time; what was done once is kept and not done again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

from rich.console import Console

from bench.report import RESULTS
from modomodo import bars

# Before any process starts: the units are what is parallel, not the threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

Figures = dict[str, Any]


def stored(name: str) -> dict[str, Figures]:
    """Figures by key from bench/results/<name>.jsonl; a later line replaces an earlier one."""
    path = RESULTS / f"{name}.jsonl"
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line.pop("key"): line for line in lines}


def compute(
    name: str,
    work: Callable[..., Figures],
    units: Mapping[str, tuple[Any, ...]],
    *,
    again: bool = False,
    parallel: int = 2,
) -> dict[str, Figures]:
    """Figures of every unit; those that are stored are taken from there unless asked for again.

    Args:
        work: a function of a module, called with a unit's arguments in a process of its own.
    """
    known = stored(name)
    missing = [key for key in units if again or key not in known]
    path = RESULTS / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        ProcessPoolExecutor(parallel, mp_context=get_context("spawn")) as pool,
        bars.counting(Console(stderr=True)) as progress,
    ):
        bar = progress.add_task(name, total=len(missing))
        jobs = {pool.submit(work, *units[key]): key for key in missing}
        for job in as_completed(jobs):
            known[jobs[job]] = job.result()
            with path.open("a") as file:
                file.write(json.dumps({"key": jobs[job], **known[jobs[job]]}) + "\n")
            progress.advance(bar)
    tidy(name, known)
    return {key: known[key] for key in units}


def tidy(name: str, known: Mapping[str, Figures]) -> None:
    """Writes the file anew, one line a key, sorted."""
    lines: Iterable[str] = (json.dumps({"key": key, **known[key]}) for key in sorted(known))
    (RESULTS / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
