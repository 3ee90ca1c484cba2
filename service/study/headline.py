"""Which mixture a study says to train: one decision, for every page, file, message and command.

A mixture counts with the mean over its runs, so a single lucky run does not stand for a mixture
that was run again and scored less.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from service.schemas import Score
from service.search.goals import Goal
from service.search.situation import Direction, sign_of
from service.search.space import SAME


class ScoredRun(Protocol):
    """A completed trial with its objective."""

    @property
    def number(self) -> int: ...

    @property
    def mixture(self) -> dict[str, float]: ...

    @property
    def score(self) -> Score: ...

    @property
    def schedule(self) -> Sequence[Mapping[str, Any]]:
        """Phases of a run that changed its mixture on the way, which is their mean then."""
        ...

    @property
    def outputs(self) -> tuple[float, ...]:
        """Scores that the study's goal looks at; none where it has no goal beside its objective."""
        ...


R = TypeVar("R", bound=ScoredRun)

MOST_NAMED = 6
"""Runs of a mixture that are named one by one."""


@dataclass(frozen=True, slots=True)
class Tried(Generic[R]):
    """A mixture with all its runs, by number; `score` is their mean."""

    runs: tuple[R, ...]
    score: Score

    @property
    def first(self) -> R:
        return self.runs[0]

    @property
    def number(self) -> int:
        """Of its first run."""
        return self.first.number

    @property
    def numbers(self) -> list[int]:
        return [run.number for run in self.runs]

    @property
    def mixture(self) -> dict[str, float]:
        """As its first run had it; the others differ by less than `SAME`."""
        return self.first.mixture

    @property
    def schedule(self) -> Sequence[Mapping[str, Any]]:
        """Its phases, where it changes on the way; `mixture` is their mean then."""
        return self.first.schedule

    @property
    def outputs(self) -> list[float]:
        """Means of what the study's goal looks at."""
        each = zip(*(run.outputs for run in self.runs), strict=True)
        return [math.fsum(scores) / len(self.runs) for scores in each]


@dataclass(frozen=True, slots=True)
class Standing(Generic[R]):
    """What stands out among the runs of a study.

    Attributes:
        mixtures: all that were run, in order of their first runs.
        best: the mixture to train.
        uniform: equal weights, if they were run.
        gain: best over uniform in the objective's direction, with its standard error; None where
            there is no uniform run, or it is itself the best.
    """

    mixtures: list[Tried[R]]
    best: Tried[R] | None
    uniform: Tried[R] | None
    gain: Score | None


@dataclass(frozen=True, slots=True)
class Lead:
    """The best mixture from a run on: its mean score then, and the number of its first run."""

    number: int
    score: Score
    mixture: int


def mean(scores: Sequence[Score]) -> Score:
    """The mean with its sampling error, those of the scores taken as independent."""
    n = len(scores)
    value = math.fsum(score.value for score in scores) / n
    return Score(value=value, se=math.hypot(*(score.se for score in scores)) / n)


NONE: frozenset[str] = frozenset()


def is_uniform(mixture: Mapping[str, float], dropped: Collection[str] = NONE) -> bool:
    """Equal weights, as nearly as mixtures are told apart.

    Args:
        dropped: domains that are to have none.
    """
    share = 1 / max(1, len(mixture.keys() - dropped))
    wanted = ((w, 0.0 if name in dropped else share) for name, w in mixture.items())
    return sum(abs(weight - equal) for weight, equal in wanted) / 2 <= SAME


def tried(runs: Sequence[R]) -> list[Tried[R]]:
    """Runs that come by number, those of one mixture together; in order of first runs."""
    groups = alike([told_apart(run.mixture, run.schedule) for run in runs])
    return [
        Tried(found, mean([run.score for run in found]))
        for found in (tuple(runs[i] for i in group) for group in groups)
    ]


def train_this(
    found: Sequence[Tried[R]],
    direction: Direction,
    goal: Goal | None = None,
    dropped: Collection[str] = NONE,
) -> Tried[R] | None:
    """The mixture with the best mean; of equal ones that with more runs, then the earliest.

    With a goal, what serves that best by its means (`Goal.best_measured`).
    """
    if goal is not None and found:
        equal = uniform(found, dropped)
        outputs = np.array([t.outputs for t in found]).T
        at_uniform = None if equal is None else np.array(equal.outputs)
        return found[goal.best_measured(outputs, at_uniform)]
    sign = sign_of(direction)
    return max(found, key=lambda t: (sign * t.score.value, len(t.runs), -t.number), default=None)


def uniform(found: Sequence[Tried[R]], dropped: Collection[str] = NONE) -> Tried[R] | None:
    """Equal weights of the domains that are not dropped, if they were run."""
    return next((t for t in found if not t.schedule and is_uniform(t.mixture, dropped)), None)


def gain_over(theirs: Score, ours: Score, direction: Direction) -> Score:
    """How much better ours is, in the objective's direction, with its standard error."""
    sign = sign_of(direction)
    return Score(value=sign * (ours.value - theirs.value), se=math.hypot(ours.se, theirs.se))


def standing(
    runs: Sequence[R],
    direction: Direction,
    goal: Goal | None = None,
    dropped: Collection[str] = NONE,
) -> Standing[R]:
    """What stands out among runs that come by number.

    Args:
        dropped: domains that mixtures are to have none of.
    """
    found = tried(runs)
    best, equal = train_this(found, direction, goal, dropped), uniform(found, dropped)
    gain = None
    if best is not None and equal is not None and best is not equal:
        gain = gain_over(equal.score, best.score, direction)
    return Standing(found, best, equal, gain)


def trials(numbers: Sequence[int]) -> str:
    """`trial 4`, `trials 4 and 9`, `trials 1, 2, 3, 4, 5, 6 and 2 more`."""
    shown = [str(number) for number in numbers[:MOST_NAMED]]
    more = len(numbers) - len(shown)
    if len(numbers) == 1:
        return f"trial {shown[0]}"
    last = f"{more} more" if more else shown.pop()
    return f"trials {', '.join(shown)} and {last}"


def leads(
    found: Sequence[Tried[R]],
    direction: Direction,
    goal: Goal | None = None,
    dropped: Collection[str] = NONE,
) -> list[Lead]:
    """What `train_this` would have said after each run, where it changed."""
    if goal is not None:
        return _leads_to(goal, found, direction, dropped)
    sign = sign_of(direction)
    place = {run.number: i for i, t in enumerate(found) for run in t.runs}
    counts, sums, variances = ([0.0] * len(found) for _ in range(3))
    means: dict[int, Score] = {}
    best: int | None = None
    changes: list[Lead] = []
    for run in sorted((run for t in found for run in t.runs), key=lambda run: run.number):
        i = place[run.number]
        counts[i] += 1
        sums[i] += run.score.value
        variances[i] += run.score.se**2
        means[i] = Score(value=sums[i] / counts[i], se=math.sqrt(variances[i]) / counts[i])

        def rank(j: int) -> tuple[float, float, int]:
            return sign * means[j].value, counts[j], -found[j].number

        if best == i:
            best = max(means, key=rank)  # it may have fallen behind another
        elif best is None or rank(i) > rank(best):
            best = i
        lead = means[best]
        if not changes or (changes[-1].mixture, changes[-1].score) != (found[best].number, lead):
            changes.append(Lead(run.number, lead, found[best].number))
    return changes


def _leads_to(
    goal: Goal, found: Sequence[Tried[R]], direction: Direction, dropped: Collection[str]
) -> list[Lead]:
    changes: list[Lead] = []
    runs = sorted((run for t in found for run in t.runs), key=lambda run: run.number)
    for n, run in enumerate(runs, 1):
        best = train_this(tried(runs[:n]), direction, goal, dropped)
        if best is not None and (
            not changes or (changes[-1].mixture, changes[-1].score) != (best.number, best.score)
        ):
            changes.append(Lead(run.number, best.score, best.number))
    return changes


def told_apart(
    mixture: Mapping[str, float], schedule: Sequence[Mapping[str, Any]] | None
) -> Mapping[str, float]:
    """The weights by which a run is told from others: by domain, with a schedule by phase, too."""
    if not schedule:
        return mixture
    return {
        f"{name} in phase {number}": phase["share"] * weight
        for number, phase in enumerate(schedule, 1)
        for name, weight in phase["mixture"].items()
    }


def apart(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Sum of what the weights of two mixtures differ by: twice their total variation."""
    names = one.keys() | other.keys()
    return math.fsum(abs(one.get(name, 0.0) - other.get(name, 0.0)) for name in names)


def alike(mixtures: Sequence[Mapping[str, float]]) -> list[list[int]]:
    """Places of mixtures that are the same; each is compared with the first of its group."""
    if not mixtures:
        return []
    names = sorted({name for mixture in mixtures for name in mixture})
    X = np.array([[mixture.get(name, 0.0) for name in names] for mixture in mixtures])
    from scipy.spatial import KDTree  # takes long, and most commands group nothing

    tree = KDTree(X)
    radius = 2 * SAME  # total variation is half of this distance
    is_alone = tree.query_ball_point(X, radius, p=1, return_length=True) == 1
    left = np.ones(len(X), dtype=bool)
    groups: list[list[int]] = []
    for i in range(len(X)):
        if not left[i]:
            continue
        near = [i] if is_alone[i] else tree.query_ball_point(X[i], radius, p=1)
        group = sorted(j for j in near if left[j])
        left[group] = False
        groups.append(group)
    return groups
