"""How long a proposal takes, alone on the machine.

`python -m bench.speed`
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from bench.report import table, write_section
from modomodo import bars
from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.search.strategies import propose

REPEATS = 3
GOALS = {
    (5, 50, "bayes-quadratic", 1): 0.2,
    (5, 50, "gp", 1): 3.0,
    (5, 50, "gp", 4): 8.0,
    (17, 128, "bayes-quadratic", 1): 2.0,
    (17, 128, "gp", 4): 20.0,
    (5, 50, "auto", 1): None,
    (17, 128, "auto", 1): None,
    (17, 500, "auto", 4): 60.0,
    (5, 50, "ax", 1): None,
}
"""Seconds by domains, runs, strategy and number of proposals; None for no goal."""
START_GOAL = 1.0


def main() -> None:
    rows = []
    with bars.counting(Console(stderr=True)) as bar:
        task = bar.add_task("proposals", total=len(GOALS) + 1)
        for (m, n, strategy, k), goal in GOALS.items():
            space, runs = study(m, n)
            ask = partial(propose, strategy, space, runs, np.empty((0, m)), k, 1)
            taken = median(ask)
            rows.append([f"{strategy}, {k} at a time", str(m), str(n), *_said(taken, goal)])
            bar.advance(task)
        rows.append([f"`{COMMAND}`, the whole command", "5", "50", *_said(start(), START_GOAL)])
        bar.advance(task)
    head = ["what", "domains", "runs", "seconds", "goal"]
    told = f"Median of {REPEATS}, after one to warm up; two cores, one thread."
    write_section("speed", f"{told}\n\n{table(head, rows)}")


def study(m: int, n: int) -> tuple[MixtureSpace, Runs]:
    """Runs with square-root saturation and noise, scored by one objective."""
    space = MixtureSpace.simplex([f"d{i}" for i in range(m)])
    rng = np.random.default_rng(0)
    X = space.sample(n, rng)
    y = np.sqrt(X) @ rng.uniform(0, 1, size=m) + 0.02 * rng.normal(size=n)
    return space, Runs(X, y, np.full(n, 0.02), y, y)


def median(action: Callable[[], object]) -> float:
    action()
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


COMMAND = "modomodo suggest --strategy bayes-quadratic"


def start() -> float:
    space, runs = study(5, 50)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.csv"
        with path.open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow([*(f"w_{name}" for name in space.domains), "out_score"])
            lines.writerows([*x, y] for x, y in zip(runs.weights, runs.score, strict=True))
        call = [sys.executable, "-m", *COMMAND.split(), "--data", str(path), "--json"]
        return median(lambda: subprocess.run(call, check=True, capture_output=True))


def _said(taken: float, goal: float | None) -> list[str]:
    if goal is None:
        return [f"{taken:.2f}", ""]
    return [f"{taken:.2f}", f"{goal:g}, {'met' if taken <= goal else 'NOT met'}"]


if __name__ == "__main__":
    main()
