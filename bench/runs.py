"""Many training runs side by side, each in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from rich.console import Console

from modomodo import bars
from trainer.job import Crash, Job, Outcome
from trainer.worker.child import Child

# Before the fork server starts: the runs are what is parallel, not the threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

LISTEN_S = 0.1


def run_all(jobs: Mapping[str, Job], *, parallel: int = 2) -> dict[str, Outcome]:
    """Outcome of each job, by its label, in the order of `jobs`.

    Raises:
        RuntimeError: a run crashed.
    """
    console = Console(stderr=True)
    outcomes: dict[str, Outcome] = {}
    with bars.counting(console) as progress:
        bar = progress.add_task("runs", total=len(jobs))
        for label, outcome in _finished(jobs, parallel):
            outcomes[label] = outcome
            progress.console.print(f"{label}: {outcome.wall_s:.0f} s, {outcome.steps} steps")
            progress.advance(bar)
    return {label: outcomes[label] for label in jobs}


def _finished(jobs: Mapping[str, Job], parallel: int) -> Iterator[tuple[str, Outcome]]:
    waiting = iter(jobs.items())
    running: dict[str, Child] = {}
    try:
        while True:
            while len(running) < parallel and (following := next(waiting, None)):
                label, job = following
                running[label] = Child(job)
            if not running:
                return
            for label, child in list(running.items()):
                message = child.hear(LISTEN_S)
                if isinstance(message, Crash):
                    raise RuntimeError(f"{label}: {message.error}")
                if isinstance(message, Outcome):
                    running.pop(label).stop()
                    yield label, message
    finally:
        for child in running.values():
            child.stop()
