"""What a worker is doing, on a terminal: a line a trial at work."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from trainer.worker.attempt import Attempt
    from trainer.worker.gpus import GpuUse
    from trainer.worker.worker import Worker

REWARDS_SHOWN = 3


def wanted() -> bool:
    """Whether a person is looking."""
    return sys.stderr.isatty()


class WorkerView:
    """Draws the workers' trials for as long as it is entered; log lines go above it."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers
        self._live = Live(
            get_renderable=lambda: table(workers, time.monotonic()),
            console=Console(stderr=True),
            refresh_per_second=2,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()


def table(workers: Sequence[Worker], now: float) -> Table:
    """One row a worker: trial, what it is at, speed, time left, rewards, and GPUs if there are."""
    attempts = [worker.attempt for worker in workers]
    columns = ["worker", "trial", "doing", "step", "steps/s", "left", "reward"]
    has_gpus = any(attempt is not None and attempt.gpus for attempt in attempts)
    shown = Table(*columns, *(["GPU: busy, memory"] if has_gpus else []))
    for worker, attempt in zip(workers, attempts, strict=True):
        cells = ["", "waiting", "", "", "", ""] if attempt is None else _cells(attempt, now)
        if has_gpus:
            cells.append("" if attempt is None else "\n".join(map(gpu, attempt.gpus)))
        shown.add_row(escape(worker.name), *map(escape, cells))
    return shown


def _cells(attempt: Attempt, now: float) -> list[str]:
    trial = f"{attempt.trial.study} {attempt.trial.number}"
    progress = attempt.progress
    if progress is None:
        return [trial, "starting", "", "", "", ""]
    step, total = progress.step, progress.total_steps
    speed = step / max(now - attempt.started, 1e-9)
    left = (total - step) / speed if step and step < total else None
    rewards = [
        f"{name.removeprefix('reward/')} {value:.2f}"
        for name, value in sorted(attempt.metrics.items())
        if name.startswith("reward/")
    ]
    return [
        trial,
        progress.stage,
        f"{step}/{total}",
        f"{speed:.2g}" if step else "",
        "" if left is None else duration(left),
        "  ".join(rewards[:REWARDS_SHOWN]),
    ]


def gpu(use: GpuUse) -> str:
    """As `0: 87%, 61/80 GB`."""
    busy = "" if use.busy is None else f"{use.busy:.0%}, "
    return f"{use.device}: {busy}{use.used / 1e9:.0f}/{use.total / 1e9:.0f} GB"


def duration(seconds: float) -> str:
    """As `45 s`, `12 min` or `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
