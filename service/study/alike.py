"""Trials that are the same run but for chance: of one mixture, or one schedule, on one channel."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.trial_states import WHOLE
from service.schemas import Score, Trial
from service.search.space import SAME
from service.study import headline

Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Repeats:
    """What the whole runs of one mixture scored: their mean with its sampling error, and the
    standard deviation between them, which another training seed moves, too."""

    n: int
    mean: Score
    sd: float


def is_same(one: Trial, other: Trial) -> bool:
    """Whether two trials of a study run the same."""
    return one.channel == other.channel and apart(of(one), of(other)) <= SAME


def of(trial: Trial) -> dict[str, float]:
    """The weights by which a trial is told from others."""
    return weights(trial.mixture, [phase.model_dump() for phase in trial.schedule or ()])


def weights(mixture: Weights, schedule: Sequence[Mapping[str, Any]] | None) -> dict[str, float]:
    """Of what a trial draws: by domain, or with a schedule by phase and domain."""
    if not schedule:
        return dict(mixture)
    return {
        f"{place} {name}": phase["share"] * weight
        for place, phase in enumerate(schedule)
        for name, weight in phase["mixture"].items()
    }


def apart(one: Weights, other: Weights) -> float:
    """The share of the samples by which two differ: their total variation."""
    names = one.keys() | other.keys()
    return sum(abs(one.get(name, 0.0) - other.get(name, 0.0)) for name in names) / 2


def repeats(trials: Sequence[Trial]) -> Repeats | None:
    """What the whole runs among trials of one mixture scored; None with fewer than two."""
    scores = [t.scores.objective for t in trials if t.state == WHOLE and t.scores.objective]
    if len(scores) < 2:
        return None
    sd = statistics.stdev(score.value for score in scores)
    return Repeats(len(scores), headline.mean(scores), sd)
