"""What a search by real runs spent: of a budget in whole runs, and of the processor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import psutil

from service.schemas import Trial
from service.schemas.spec import FULL, MERGED
from trainer.recipe import Recipe

STEPS = Recipe().steps
HALF = STEPS // 2
SCORED_HALFWAY = 1.13
"""What a run costs that is scored at half its steps, too, in runs that are not: CPU-seconds of the
uniform mixture's."""
UNDER_WAY = ("queued", "running")
"""Paused runs wait for the search, not for a worker."""


@dataclass(frozen=True)
class Kind:
    """How a search spends.

    Attributes:
        budget: whole runs' worth of all that its workers compute.
    """

    strategy: str
    channels: tuple[str, ...]
    budget: int

    @property
    def recipe(self) -> Recipe:
        """The world's own, but scored, and left to be continued, where runs may pause."""
        if not self.is_in_parts:
            return Recipe()
        return Recipe.parse({"evaluation": {"at": [HALF]}, "checkpoints": {"every": HALF}})

    @property
    def is_in_parts(self) -> bool:
        return f"step-{HALF}" in self.channels

    @property
    def a_run(self) -> float:
        """What a whole run of this search costs, in runs of the world's own recipe."""
        return SCORED_HALFWAY if self.is_in_parts else 1.0


def spent(trials: Sequence[Trial], hours: Mapping[int, float], kind: Kind) -> float:
    """Whole runs' worth that trials took: the hours of all that are over or pause, in those of a
    whole run of the same search. Prices under way count as those before them."""
    ended = [trial for trial in trials if trial.state not in UNDER_WAY]
    whole = [hours[trial.number] for trial in ended if is_run(trial)]
    if not whole:
        return 0.0
    prices = [hours.get(trial.number, 0.0) for trial in ended if trial.channel == MERGED]
    to_come = sum(trial.state in UNDER_WAY and trial.channel == MERGED for trial in trials)
    total = sum(hours.get(trial.number, 0.0) for trial in ended)
    total += to_come * float(np.mean(prices)) if prices else 0.0
    return kind.a_run * total / float(np.mean(whole))


def counted(trials: Iterable[Trial]) -> float:
    """What the service takes off the budget for trials that are over or pause."""
    return sum(_share(trial) for trial in trials)


def _share(trial: Trial) -> float:
    if is_run(trial):
        return 1.0
    return (trial.step or 0) / STEPS if is_part(trial) else 0.0


def is_run(trial: Trial) -> bool:
    return trial.state == "completed" and trial.channel == FULL


def is_part(trial: Trial) -> bool:
    return trial.state in ("paused", "early_stopped")


@dataclass
class CpuTime:
    """CPU-seconds of the processes that this one has started, with all that they started."""

    _seconds: dict[int, tuple[str, float]] = field(default_factory=dict)

    def look(self) -> None:
        """Called often: what a process has used is known for as long as it is there."""
        for child in psutil.Process().children():
            with suppress(psutil.NoSuchProcess):
                command = " ".join(child.cmdline())
                used = sum(map(_cpu_s, [child, *child.children(recursive=True)]))
                _, before = self._seconds.get(child.pid, (command, 0.0))
                self._seconds[child.pid] = command, max(before, used)

    def of(self, word: str) -> float:
        """Of processes with a word in their command."""
        return sum(used for command, used in self._seconds.values() if f" {word} " in command)


def _cpu_s(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0
