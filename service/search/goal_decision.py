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
"""Mixtures that were run, at most, among the candidates."""
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
        front: by the first objective, best last; empty with one objective, and where no mixture
            keeps the floors as surely as asked.
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
    drawn = wide = beliefs.draw(X, DRAWS, rng)
    for reach in REACHES:
        new = around(beliefs, X[_best(goal, drawn)], reach, rng)
        if not len(new):
            break
        # One set of draws for all that is compared: those of other sets differ by chance.
        X = np.vstack([compared, X[len(compared) :][_kept(goal, drawn, len(compared))], new])
        drawn = beliefs.draw(X, DRAWS, rng)
    # 2. Whether the floors can be kept. What draws think of far from the best was seen at first.
    possible = max(float(one.holds.any(axis=1).mean()) for one in (wide, drawn))
    each_possible = np.max([(one.spare >= 0).any(axis=2).mean(axis=0) for one in (wide, drawn)], 0)
    is_kept = bool(goal.is_enough(drawn.chances, drawn.together).any())
    verdict: Verdict = "kept" if is_kept else "unsure" if possible >= HARDLY else "impossible"
    # 3. The best of what keeps them; else what keeps them most surely.
    best = _best(goal, drawn, MOST_POINTS)
    front: NDArray[np.intp] = np.empty(0, dtype=np.intp)
    choice = None
    chosen = int(best[0])
    if is_kept and goal.n_objectives > 1:
        front = best
        choice = fronts.knee(drawn.values.mean(axis=0).T[front])
        chosen = int(front[choice])
    points = _points(beliefs, X, drawn, [chosen, *map(int, front), *range(len(compared))])
    levels = goal.levels(
        np.array([one.predict(beliefs.uniform[None])[0][0] for one in beliefs.fits])
    )
    return Decision(
        goal,
        beliefs.kind,
        levels,
        verdict,
        possible,
        each_possible,
        points[0],
        points[1 : 1 + len(front)],
        choice,
        points[1 + len(front) :],
    )


def _best(goal: Goal, drawn: Drawn, most: int = KEPT) -> NDArray[np.intp]:
    """Places of the best candidates: of those whose floors hold as surely as asked the highest
    means first, or with several objectives the front, by the first of them. Where there are none,
    those that keep the floors most surely first, and of these that are least short."""
    mean, together = drawn.values.mean(axis=0), drawn.together
    enough = goal.is_enough(drawn.chances, together)
    if goal.n_objectives > 1 and enough.any():
        able = np.flatnonzero(enough)
        front = able[fronts.on_front(mean[:, able].T)]
        return front[fronts.thinned(mean[:, front].T, most)]
    short = np.minimum(drawn.spare.mean(axis=0), 0).sum(axis=0)
    merit = np.where(enough, mean[0], 0.0)
    # The last key counts first.
    order = np.lexsort((-short, np.where(enough, -1.0, -together), -merit, ~enough))
    return order[:most]


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
