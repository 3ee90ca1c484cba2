"""Which mixture serves a goal best, by the belief: what to recommend, and the front.

Of the mixtures whose floors hold as surely as asked (each alone with its probability, all together
with the least of them, by draws from the belief), that with the highest mean; with several
objectives, the front of means and the point on it that gives most per point given up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.search import fronts
from service.search.goal_beliefs import Beliefs, Drawn
from service.search.goal_candidates import REACHES, around, first_candidates, promising
from service.search.goals import Goal
from service.search.space import FloatArray

DRAWS = 1024
MOST_POINTS = 25
"""Points of a front that are shown."""
MOST_TRIED = 256
KEPT = 24
"""Best candidates of a round that the next looks around."""
HARDLY = 0.05
"""Floors that some mixture keeps in fewer draws than this are as good as impossible."""

Verdict = Literal["kept", "unsure", "impossible"]


@dataclass(frozen=True, eq=False)
class Point:
    """A mixture as the belief sees it.

    Attributes:
        weights: (m,).
        mean, sd: (J,) of what is to be improved.
        score, score_sd: of the number that the study is listed by.
        chances: (F,) probability that each floor holds.
        together: that all hold together; 1 without floors.
    """

    weights: FloatArray
    mean: FloatArray
    sd: FloatArray
    score: float
    score_sd: float
    chances: FloatArray
    together: float


@dataclass(frozen=True, eq=False)
class Decision:
    """What a surrogate makes of a goal.

    Attributes:
        levels: (F,) mean of what each floor is.
        verdict: whether some mixture keeps the floors as surely as asked (`kept`, and so it is
            without floors), none does so far but one may (`unsure`), or hardly any can.
        possible: probability that some mixture keeps all floors together.
        each_possible: (F,) that some mixture keeps each of them alone.
        recommended: the mixture that serves the goal best; where none keeps the floors as surely as
            asked, the one that keeps them most surely.
        front: by the first objective, best last; empty with one objective.
        choice: place on the front of what is recommended.
        compared: the mixtures asked about.
    """

    goal: Goal
    kind: str
    levels: FloatArray
    verdict: Verdict
    possible: float
    each_possible: FloatArray
    recommended: Point
    front: list[Point]
    choice: int | None
    compared: list[Point]


def decide(beliefs: Beliefs, seed: int, compare: FloatArray | None = None) -> Decision:
    """Deterministic given the seed.

    Args:
        compare: (k, m) mixtures to be told of, too.
    """
    goal, space = beliefs.goal, beliefs.space
    rng = np.random.default_rng(seed)
    compared = np.empty((0, space.m)) if compare is None else compare
    # 1. Candidates all over, then around the best of them.
    tried = promising(beliefs, MOST_TRIED)
    X = np.vstack([compared, tried, first_candidates(beliefs, rng)])
    drawn = beliefs.draw(X, DRAWS, rng)
    for reach in REACHES:
        new = around(beliefs, X[_best(goal, drawn)], reach, rng)
        if not len(new):
            break
        # One set of draws for all that is compared: those of other sets differ by chance.
        X = np.vstack([compared, X[len(compared) :][_kept(goal, drawn, len(compared))], new])
        drawn = beliefs.draw(X, DRAWS, rng)
    # 2. What is good enough of them, and whether anything is.
    enough = goal.is_enough(drawn.chances, drawn.together)
    holds = drawn.spare >= 0
    possible = float(drawn.holds.any(axis=1).mean())
    verdict: Verdict = "kept" if enough.any() else "unsure" if possible >= HARDLY else "impossible"
    # 3. The best of what is enough; else what keeps the floors most surely.
    mean = drawn.values.mean(axis=0).T
    front: NDArray[np.intp] = np.empty(0, dtype=np.intp)
    choice = None
    if goal.n_objectives > 1:
        able = np.flatnonzero(enough) if enough.any() else np.arange(len(X))
        on_it = able[fronts.on_front(mean[able])]
        front = on_it[fronts.thinned(mean[on_it], MOST_POINTS)]
    if enough.any() and len(front):
        choice = fronts.knee(mean[front])
        best = int(front[choice])
    else:
        best = int(_best(goal, drawn)[0])
    points = _points(beliefs, X, drawn, [best, *map(int, front), *range(len(compared))])
    levels = goal.levels(
        np.array([one.predict(beliefs.uniform[None])[0][0] for one in beliefs.fits])
    )
    return Decision(
        goal,
        beliefs.kind,
        levels,
        verdict,
        possible,
        holds.any(axis=2).mean(axis=0),
        points[0],
        points[1 : 1 + len(front)],
        choice,
        points[1 + len(front) :],
    )


def _best(goal: Goal, drawn: Drawn) -> NDArray[np.intp]:
    """Places of the best candidates, best first: of those whose floors hold as surely as asked the
    highest means, with several objectives the front of them; then those that nearly do."""
    mean = drawn.values.mean(axis=0)
    enough = goal.is_enough(drawn.chances, drawn.together)
    if goal.n_objectives == 1:
        merit = mean[0]
    else:
        able = np.flatnonzero(enough) if enough.any() else np.arange(mean.shape[1])
        low, extent = mean[:, able].min(axis=1), np.ptp(mean[:, able], axis=1)
        merit = ((mean - low[:, None]) / np.where(extent > 0, extent, 1.0)[:, None]).sum(axis=0)
        ahead = np.zeros(len(merit), dtype=bool)
        ahead[able[fronts.on_front(mean[:, able].T)]] = True
        merit = merit + 1000.0 * ahead
    short = np.minimum(drawn.spare.mean(axis=0), 0).sum(axis=0)
    # Last key first: enough, by merit; the rest by how surely they hold, then by what they lack.
    surely = np.where(enough, 1.0, drawn.together)
    lacking = np.where(enough, 0.0, short)
    order = np.lexsort((-merit, -lacking, -surely, ~enough))
    return order[:KEPT]


def _kept(goal: Goal, drawn: Drawn, n_compared: int) -> NDArray[np.intp]:
    """Places after those compared of what goes into the next round: the best, and some that show
    how far the floors can be kept."""
    safest = np.argsort(-drawn.together, kind="stable")[:KEPT]
    kept = np.unique(np.concatenate([_best(goal, drawn), safest]))
    return kept[kept >= n_compared] - n_compared


def _points(beliefs: Beliefs, X: FloatArray, drawn: Drawn, at: list[int]) -> list[Point]:
    score, score_sd = beliefs.score(X[at])
    mean, sd = drawn.values.mean(axis=0), drawn.values.std(axis=0)
    chances, together = drawn.chances, drawn.together
    return [
        Point(X[i], mean[:, i], sd[:, i], float(s), float(d), chances[:, i], float(together[i]))
        for i, s, d in zip(at, score, score_sd, strict=True)
    ]
