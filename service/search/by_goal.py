"""Strategies for goals: what is expected to add most to the front, where all floors hold.

With one objective the front is its best value, and what is added to it the noisy expected
improvement (Letham, Karrer, Ottoni and Bakshy, "Constrained Bayesian optimization with noisy
experiments", 2019); with several it is hypervolume (Daulton, Balandat and Bakshy, "Parallel
Bayesian optimization of multiple noisy objectives with expected hypervolume improvement", 2021).
Everything is counted draw by draw: which mixtures that were run or are on their way keep the floors
and make the front, and what each candidate would add to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from service.search import fronts
from service.search.counts import counted
from service.search.goal_beliefs import Beliefs, Drawn
from service.search.goal_candidates import REACHES, around, first_candidates, promising
from service.search.goals import Goal
from service.search.situation import Proposed, Situation, Strategy
from service.search.space import FloatArray

DRAWS = 192
MOST_TRIED = 64
"""Mixtures that were run, the best by mean, that may be on the front."""
KEPT = 12
"""Best candidates that are looked around."""
LITTLE = 1e-9
"""An expected gain below this share of the reference volume is none."""


def pursuing(name: str, plain: Strategy) -> Strategy:
    """Proposes for a goal by one of `goal_beliefs.PURSUING`.

    Args:
        plain: what proposes where there is one objective and its floors bind nowhere.
    """

    def suggest(situation: Situation) -> Iterator[Proposed | None]:
        goal = situation.goal
        if goal is None or goal.is_plain:
            yield from plain(_without_goal(situation))
            return
        if len(situation.runs) < situation.runs_needed():
            return
        beliefs = Beliefs.fitted(name, goal, situation.space, situation.runs, situation.seed)
        if name == "gp" and goal.n_objectives > 1 and not goal.floors:
            yield from _by_botorch(situation, beliefs)
        search = _Search.begun(situation, beliefs, situation.rng())
        if goal.n_objectives == 1 and not goal.is_worst and search.drawn.holds.all():
            yield from plain(_without_goal(situation))
            return
        while (found := search.next_mixture()) is not None:
            yield found

    return suggest


def _without_goal(situation: Situation) -> Situation:
    """The same with nothing but the objective to improve; `taken` is shared."""
    return replace(situation, goal=None, runs=situation.runs.weighed())


class _Search:
    """Candidates with draws of them and of what is known, and one proposal after the other."""

    def __init__(
        self, situation: Situation, beliefs: Beliefs, X: FloatArray, n_known: int, drawn: Drawn
    ) -> None:
        self.drawn = drawn
        self._situation, self._beliefs, self._X = situation, beliefs, X
        self._known = list(range(n_known))
        self._reference = fronts.reference_of(drawn.values.mean(axis=0).T[:n_known])

    @classmethod
    def begun(cls, situation: Situation, beliefs: Beliefs, rng: np.random.Generator) -> _Search:
        """Candidates all over the space, then around those that would add most."""
        known = np.vstack([situation.unscored(), promising(beliefs, MOST_TRIED)])
        X = np.vstack([known, first_candidates(beliefs, rng)])
        found = cls(situation, beliefs, X, len(known), beliefs.draw(X, DRAWS, rng))
        for reach in REACHES[:2]:
            top = np.argsort(-found._worth(), kind="stable")[:KEPT]
            new = around(beliefs, found._X[top], reach, rng)
            if not len(new):
                break
            X = np.vstack([found._X, new])
            found = cls(situation, beliefs, X, len(known), beliefs.draw(X, DRAWS, rng))
        return found

    def next_mixture(self) -> Proposed | None:
        """The mixture that adds most beside what is known and on its way; None where all have been
        proposed."""
        order = np.argsort(-self._worth(), kind="stable")
        i = next((int(i) for i in order if self._situation.is_new(self._X[i])), None)
        if i is None:
            return None
        self._known.append(i)
        mean, sd = self._beliefs.score(self._X[[i]])
        return Proposed(self._X[i], float(mean[0]), float(sd[0]), self._said(i), "goal")

    def _gains(self) -> FloatArray:
        """(k,) expected addition to the volume below the front of what is known."""
        values, holds = self.drawn.values, self.drawn.holds
        total = np.zeros(values.shape[2])
        for value, hold in zip(values, holds, strict=True):
            base = np.array([i for i in self._known if hold[i]], dtype=int)
            Y = value.T
            front = Y[base][fronts.on_front(Y[base])] if len(base) else Y[base]
            able = np.flatnonzero(hold)
            total[able] += fronts.improvements(front, Y[able], self._reference)
        return total / len(values)

    def _worth(self) -> FloatArray:
        """(k,) what candidates are ordered by: the gain; where nothing gains, how surely the floors
        hold, and how little they are broken."""
        gains = self._gains()
        if gains.max() > LITTLE * np.prod(self._extent()):
            return gains
        short: FloatArray = np.minimum(self.drawn.spare.mean(axis=0), 0).sum(axis=0)
        surely: FloatArray = self.drawn.together + short / (1 + np.abs(short).max())
        return surely

    def _extent(self) -> FloatArray:
        means = self.drawn.values.mean(axis=0)
        extent: FloatArray = np.ptp(means, axis=1) + 1e-12
        return extent

    def _said(self, i: int) -> str:
        situation, goal = self._situation, self._beliefs.goal
        what = _aim(goal)
        if goal.floors:
            what += f" where all floors hold (here {100 * self.drawn.together[i]:.0f}%)"
            if self.drawn.together.max() == 0:
                what = "comes nearest to the floors, which no draw says can be kept"
        n_waiting = len(situation.unscored())
        more = f" and {n_waiting} more queued or running" if n_waiting else ""
        from_runs = f"from {counted(len(situation.runs), 'run')}{more}"
        return f"{what}, {from_runs}; {self._beliefs.kind}"


def _aim(goal: Goal) -> str:
    if goal.is_worst:
        return "largest expected gain of the worst benchmark"
    if goal.n_objectives == 1:
        return "largest expected improvement"
    names = [goal.names[o] for o in goal.objectives]
    return f"largest expected addition to the front of {', '.join(names)}"


def _by_botorch(situation: Situation, beliefs: Beliefs) -> Iterator[Proposed]:
    """By noisy expected hypervolume improvement of Gaussian processes."""
    from service.search import front_improvement  # torch: seconds, so only when asked

    if not front_improvement.is_possible(beliefs):
        return
    while len(situation.unscored()) <= front_improvement.MAX_PENDING:
        points = front_improvement.best_next(beliefs, situation.unscored(), situation.seed)
        fresh = next((point for point in points if situation.is_new(point)), None)
        if fresh is None:
            return
        mean, sd = beliefs.score(fresh[None])
        n = counted(len(situation.runs), "run")
        reason = f"{_aim(beliefs.goal)}, by BoTorch, from {n}; {beliefs.kind}"
        yield Proposed(fresh, float(mean[0]), float(sd[0]), reason, "gp")
