"""Trials that are the same run but for chance: of one mixture, or one schedule, on one channel."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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

    @classmethod
    def of(cls, trials: Sequence[Trial]) -> Repeats | None:
        """Of trials of one mixture; None with fewer than two whole runs."""
        scores = [t.scores.objective for t in trials if t.state == WHOLE and t.scores.objective]
        if len(scores) < 2:
            return None
        sd = statistics.stdev(score.value for score in scores)
        return cls(len(scores), headline.mean(scores), sd)


def is_same(one: Trial, other: Trial) -> bool:
    """Whether two trials of a study run the same."""
    return one.channel == other.channel and is_near(weights_of(one), weights_of(other))


def weights_of(trial: Trial) -> Weights:
    """The weights by which a trial is told from others."""
    return headline.told_apart(
        trial.mixture, [phase.model_dump() for phase in trial.schedule or ()]
    )


def is_near(one: Weights, other: Weights) -> bool:
    """Whether runs by these differ in so few samples that they are of one mixture."""
    return headline.apart(one, other) / 2 <= SAME
