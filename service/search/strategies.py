"""What proposes the next mixtures.

A strategy is a generator of suggestions in order of preference. `propose` takes the first n that
are not being tried or were not tried already; when a strategy has nothing left to say, uniform
samples of the space follow, as they do while too few runs are scored for anything better. Inside,
higher scores are better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

import numpy as np

from service.search.acquisition import Knowledge
from service.search.designs import (
    Criterion,
    DesignPoint,
    centroid,
    gaussian_candidates,
    lattice,
    optimal,
    seed_design,
)
from service.search.heuristics import AS_PUBLISHED, HEURISTICS, HeuristicOptions
from service.search.runs import Runs
from service.search.space import SAME, FloatArray, MixtureSpace, total_variation
from service.search.surrogates import Fitted, fit

Direction = Literal["maximize", "minimize"]
Opening = Literal["optimal", "seeds"]

SEEDS_NEEDED = 0.75
"""Share of the seeds that must be scored before a heuristic speaks."""

MAX_RANDOM = 1000
CONFIRM_SHARE = 6
MAX_CONFIRM = 6
"""A sixth of the budget, at most 6 runs, is kept to confirm what was found."""
IDLE_GAIN = 1e-3
"""A run expected to raise the best prediction by less than this share of one run's noise teaches
nothing."""
CENTROID_SIZE = 4
"""Most domains in a blend of the centroid design; all blends of 17 would be 131,071."""
APART = 0.05
"""Mixtures this far apart in total variation are worth confirming both."""


@dataclass(frozen=True, eq=False)
class Proposed:
    """A mixture to try next.

    Attributes:
        weights: (m,) exactly feasible.
        mean, sd: what the strategy's surrogate expects of the noise-free objective; None where the
            strategy has no surrogate.
        reason: in words.
        strategy: the part of the strategy that spoke: a pipeline passes through several.
        is_repeat: meant to be run again although it was run, or is on its way, already.
    """

    weights: FloatArray
    mean: float | None
    sd: float | None
    reason: str
    strategy: str
    is_repeat: bool = False


@dataclass(eq=False)
class _Situation:
    """What a strategy may look at. `taken` grows as suggestions are accepted.

    Attributes:
        runs: turned so that higher scores are better.
        sign: -1.0 where they were turned, to say predictions as the user knows them.
        budget: completed runs after which the search ends; None for no end.
    """

    space: MixtureSpace
    runs: Runs
    sign: float
    pending: FloatArray
    avoid: FloatArray
    seed: int
    budget: int | None = None
    opening: Opening = "optimal"
    heuristics: HeuristicOptions = AS_PUBLISHED
    taken: list[FloatArray] = field(default_factory=list)

    def known(self) -> FloatArray:
        """(k, m) mixtures that were run, are on their way, or are to be avoided."""
        return np.vstack([self.runs.weights, self.unscored(), self.avoid])

    def is_new(self, weights: FloatArray) -> bool:
        return bool(np.all(total_variation(weights, self.known()) > SAME))

    def runs_needed(self) -> int:
        """Scored runs before a surrogate may choose: one more than a plane through the domains."""
        return self.space.m + 1

    def unscored(self) -> FloatArray:
        """(p, m) mixtures whose scores are still to come, this call's own among them."""
        return np.vstack([self.pending, *(t[None] for t in self.taken)])

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


Strategy = Callable[[_Situation], Iterator[Proposed | None]]
"""Suggestions in order of preference; None means to wait for scores that are on their way."""


def propose(
    strategy: str,
    space: MixtureSpace,
    runs: Runs,
    pending: FloatArray,
    n: int,
    seed: int,
    direction: Direction = "maximize",
    *,
    avoid: FloatArray | None = None,
    budget: int | None = None,
    opening: Opening = "optimal",
    heuristics: HeuristicOptions = AS_PUBLISHED,
) -> list[Proposed]:
    """The next n mixtures; the same arguments give the same answer.

    Fewer than n where a strategy wants to see scores first that are on their way.

    Args:
        pending: (p, m) mixtures whose scores are still to come; they are not proposed again.
        avoid: (k, m) mixtures that cannot be scored; they are not proposed again either.
        budget: completed runs after which the search ends: it sizes the opening of `auto` and
            leaves room for its confirmations. None for no end.
        opening: what the surrogate strategies begin with: an optimal design, or the paper's seeds.
        heuristics: what the paper varies of them.

    Raises:
        KeyError: no such strategy; the message lists them.
    """
    if strategy not in _STRATEGIES:
        raise KeyError(f"unknown strategy {strategy!r}; known: {', '.join(STRATEGIES)}")
    sign = 1.0 if direction == "maximize" else -1.0
    situation = _Situation(
        space,
        runs if direction == "maximize" else runs.negated(),
        sign,
        np.asarray(pending, dtype=float).reshape(-1, space.m),
        np.empty((0, space.m)) if avoid is None else np.asarray(avoid).reshape(-1, space.m),
        seed,
        budget,
        opening,
        heuristics,
    )
    chosen: list[Proposed] = []
    if n < 1:
        return chosen
    for suggestion in chain(_STRATEGIES[strategy](situation), _random(situation)):
        if suggestion is None:
            return chosen
        if not suggestion.is_repeat and not situation.is_new(suggestion.weights):
            continue
        situation.taken.append(suggestion.weights)
        chosen.append(
            Proposed(
                suggestion.weights,
                None if suggestion.mean is None else sign * suggestion.mean,
                suggestion.sd,
                suggestion.reason,
                suggestion.strategy,
                suggestion.is_repeat,
            )
        )
        if len(chosen) == n:
            return chosen
    # A space so small that everything in it was tried: try its centre again.
    again = Proposed(
        space.uniform, None, None, "every mixture was tried: once more", "repeat", True
    )
    return chosen + [again] * (n - len(chosen))


def _seed(situation: _Situation) -> Iterator[Proposed]:
    for point in seed_design(situation.space):
        yield Proposed(point.weights, None, None, point.reason, "seed")


def _design(points: Iterable[DesignPoint], name: str) -> Iterator[Proposed]:
    for point in points:
        yield Proposed(point.weights, None, None, point.reason, name)


def _lattice(situation: _Situation) -> Iterator[Proposed]:
    return _design(lattice(situation.space), "lattice")


def _centroid(situation: _Situation) -> Iterator[Proposed]:
    return _design(centroid(situation.space, CENTROID_SIZE), "centroid")


def _replicates(situation: _Situation) -> Iterator[Proposed]:
    """The uniform mixture and the best run so far in turn, whichever was run less often."""
    runs, uniform = situation.runs, situation.space.uniform
    mixtures = [uniform]
    if len(runs):
        mixtures.append(runs.weights[int(np.argmax(runs.score))])
    names = ("the uniform mixture", "the best run so far")
    while True:
        everything = np.vstack([runs.weights, situation.unscored()])
        counts = [int((total_variation(x, everything) <= SAME).sum()) for x in mixtures]
        i = int(np.argmin(counts))
        why = f"{names[i]} once more, run {counts[i]} times so far: tells noise"
        yield Proposed(mixtures[i], None, None, why, "replicates", counts[i] > 0)


def _optimal(criterion: Criterion) -> Strategy:
    """Augments the runs there are, one by one."""

    def suggest(situation: _Situation) -> Iterator[Proposed]:
        while True:
            known = situation.known()
            points = optimal(situation.space, 1, known, situation.rng(), criterion)
            yield from _design(points, f"{criterion.lower()}-optimal")
            if len(situation.known()) == len(known):
                return

    return suggest


def _opening(situation: _Situation) -> Iterator[Proposed]:
    """A design, for as long as fewer runs than it has are known or on their way."""
    seeds = seed_design(situation.space)
    size = opening_size(situation.space.m, situation.budget)
    if situation.opening == "seeds":
        size = len(seeds)
    missing = size - len(situation.known())
    if missing <= 0:
        return
    if situation.opening == "seeds":
        points = seeds
    else:
        # Uniform first: everything is compared with it.
        uniform = situation.space.uniform
        known = np.vstack([situation.known(), uniform])
        rest = max(0, missing - 1) if situation.is_new(uniform) else missing
        points = optimal(situation.space, rest, known, np.random.default_rng(0), "I")
        points = [DesignPoint(uniform, "equal weights: what all is compared with"), *points]
    for item in _design(points, "opening"):
        if len(situation.known()) >= size:
            return
        yield item


def opening_size(m: int, budget: int | None) -> int:
    """Runs of the opening: a third of the budget, as many as a quadratic has terms at most.

    At least two more than domains, so that a plane through them is known.
    """
    terms = m * (m + 1) // 2
    wanted = 2 * m if budget is None else budget // 3
    return max(m + 2, min(terms, wanted))


def _seeds_first(situation: _Situation) -> Iterator[Proposed]:
    """The paper's seeds, for as long as fewer runs than seeds are known or on their way."""
    seeds = list(_seed(situation))
    for item in seeds:
        if len(situation.known()) >= len(seeds):
            return
        yield item


def _random(situation: _Situation) -> Iterator[Proposed]:
    rng = situation.rng()
    for _ in range(MAX_RANDOM):
        weights = situation.space.sample(1, rng)[0]
        yield Proposed(weights, None, None, "uniform sample of the space", "random")


def _heuristic(name: str) -> Strategy:
    what, weigh = HEURISTICS[name]

    def suggest(situation: _Situation) -> Iterator[Proposed | None]:
        seeds = seed_design(situation.space)
        on_their_way = situation.unscored()
        if any(np.any(total_variation(x.weights, on_their_way) <= SAME) for x in seeds):
            yield None
        near = [total_variation(x.weights, situation.runs.weights) < SAME for x in seeds]
        groups = [group for group in near if group.any()]
        if len(groups) < SEEDS_NEEDED * len(seeds):
            return
        weights = weigh(situation.runs.averaged(groups), situation.heuristics)
        if weights is not None:
            reason = f"{name}: {what}, from {len(groups)} of {len(seeds)} seed mixtures"
            without = [situation.space.domains[i] for i in situation.heuristics.leave_out]
            reason += f", without {', '.join(without)}" if without else ""
            yield Proposed(situation.space.project(weights), None, None, reason, name)

    return suggest


def _quadsurface(situation: _Situation) -> Iterator[Proposed]:
    """Algorithm 4: candidates from one Gaussian around the tried mixtures, best predicted first."""
    space, runs = situation.space, situation.runs
    if len(runs) < situation.runs_needed():
        return
    fitted = fit("quadsurface", space, runs, situation.seed)
    candidates = gaussian_candidates(space, runs, situation.rng())
    mean, sd = fitted.predict(candidates)
    for i in np.argsort(-mean, kind="stable"):
        reason = (
            f"quadsurface: best prediction ({situation.sign * mean[i]:.4g}) of {len(candidates):,} "
            f"candidates, fitted to {len(runs)} runs"
        )
        yield Proposed(candidates[i], float(mean[i]), float(sd[i]), reason, "quadsurface")


def _gp(situation: _Situation) -> Iterator[Proposed]:
    space, runs = situation.space, situation.runs
    if len(runs) < situation.runs_needed():
        return
    from service.search import expected_improvement  # torch: seconds, so only when asked
    from service.search.surrogates.gp import GaussianProcess

    # One model of the objective: the expected improvement of a sum of models is another matter.
    fitted = GaussianProcess().fit(space, runs, situation.seed)

    def said(weights: FloatArray, why: str) -> Proposed:
        mean, sd = fitted.predict(weights[None])
        return Proposed(weights, float(mean[0]), float(sd[0]), _said(situation, fitted, why), "gp")

    while len(situation.unscored()) <= expected_improvement.MAX_PENDING:
        points = expected_improvement.best_next(fitted, space, situation.unscored(), situation.seed)
        fresh = next((point for point in points if situation.is_new(point)), None)
        if fresh is None:
            return
        yield said(fresh, "highest noisy expected improvement")
    rng = situation.rng()
    tried = runs.weights
    for _ in range(MAX_RANDOM):
        for point in fitted.maxima(space, 16, tried, rng):
            yield said(point, "best of one draw from the posterior")


def _ax(situation: _Situation) -> Iterator[Proposed]:
    from service.search import ax  # ax and torch: seconds, and an extra

    space, runs = situation.space, situation.runs
    for weights in ax.suggestions(space, runs, situation.unscored(), situation.seed):
        reason = f"ax: its own default strategy, told {len(runs)} runs"
        yield Proposed(weights, None, None, reason, "ax")


def _knowledge_gradient(name: str) -> Strategy:
    """Runs what is expected to raise the best prediction most, by the surrogate of that name."""

    def suggest(situation: _Situation) -> Iterator[Proposed]:
        space, runs = situation.space, situation.runs
        if len(runs) < situation.runs_needed():
            return
        fitted = fit(name, space, runs, situation.seed)
        rng = situation.rng()
        knowledge = Knowledge.gathered(fitted, space, situation.unscored(), rng)
        chance = knowledge.chance_of_better(fitted.noise_sd, rng)
        left = f"{100 * chance:.0f}% chance that one beats the best by {fitted.noise_sd:.2g}"
        if name == "auto":
            yield from _confirmations(situation, fitted)
        while True:
            barred = np.vstack([situation.unscored(), situation.avoid])
            best = knowledge.best(barred)
            why = f"most telling run ({left})"
            if best.gain < IDLE_GAIN * fitted.noise_sd:
                # Nothing is expected to change the choice: what is chosen may as well be confirmed.
                best = knowledge.highest(barred)
                why = f"best predicted; more runs will hardly change the choice ({left}): stop here"
            repeats = not situation.is_new(best.weights)
            reason = _said(situation, fitted, why)
            yield Proposed(best.weights, best.mean, best.sd, reason, fitted.name, repeats)
            knowledge = knowledge.after(best.weights)

    return suggest


def _confirmations(situation: _Situation, fitted: Fitted) -> Iterator[Proposed]:
    """The end of the budget: the best mixtures and the uniform one, those run least often first."""
    if situation.budget is None:
        return
    n_confirm = min(MAX_CONFIRM, situation.budget // CONFIRM_SHARE)
    space, runs = situation.space, situation.runs
    if n_confirm < 2:
        return
    tops = _tops(situation, fitted)
    mixtures = np.vstack([tops[:1], space.uniform[None], tops[1:]])
    names = ["best predicted", "uniform", "second best", "third best"]
    means, sds = fitted.predict(mixtures)
    while 0 < situation.budget - len(runs) - len(situation.unscored()) <= n_confirm:
        everything = np.vstack([runs.weights, situation.unscored()])
        counts = [int((total_variation(x, everything) <= SAME).sum()) for x in mixtures]
        i = int(np.argmin(counts))
        why = f"confirms the {names[i]} mixture, run {counts[i]} times so far"
        reason = _said(situation, fitted, why)
        yield Proposed(mixtures[i], float(means[i]), float(sds[i]), reason, "confirm", True)


def _tops(situation: _Situation, fitted: Fitted) -> FloatArray:
    """(1 to 3, m) the best predicted mixture, and the best tried ones that differ from it.

    A tried one near the best stands for it: each fit moves the best a little, and a mixture that
    is run once more tells of noise what a new one beside it does not.
    """
    tried = situation.runs.weights
    order = np.argsort(-fitted.predict(tried)[0], kind="stable")
    highest = fitted.highest(situation.space, tried[order[:8]], situation.rng())
    near = [x for x in tried[order] if total_variation(x, highest[None])[0] <= APART]
    tops = [near[0] if near else highest]
    for x in tried[order]:
        if len(tops) < 3 and np.all(total_variation(x, np.array(tops)) > APART):
            tops.append(x)
    return np.array(tops)


def _said(situation: _Situation, fitted: Fitted, why: str) -> str:
    on_their_way = len(situation.unscored())
    more = f" and {on_their_way} more on their way" if on_their_way else ""
    return f"{fitted.name}: {why}, from {len(situation.runs)} runs{more}; {fitted.kind}"


def _then(*parts: Strategy) -> Strategy:
    def suggest(situation: _Situation) -> Iterator[Proposed | None]:
        for part in parts:
            yield from part(situation)

    return suggest


_STRATEGIES: dict[str, Strategy] = {
    "seed": _seed,
    "random": _random,
    **{name: _then(_seed, _heuristic(name)) for name in HEURISTICS},
    "quadsurface": _then(_seeds_first, _quadsurface),
    "bayes-quadratic": _then(_opening, _knowledge_gradient("bayes-quadratic")),
    "gp": _then(_opening, _gp),
    "auto": _then(_opening, _knowledge_gradient("auto")),
    "ax": _ax,
    "lattice": _lattice,
    "centroid": _centroid,
    "d-optimal": _optimal("D"),
    "i-optimal": _optimal("I"),
    "replicates": _replicates,
    "modomodo": _then(_seed, *map(_heuristic, HEURISTICS), _quadsurface),
}

STRATEGIES: dict[str, str] = {
    "auto": "an optimal design, then the most telling runs by whichever surrogate foresees runs "
    "best, then confirmations",
    "bayes-quadratic": "an optimal design, then the most telling runs by a Bayesian quadratic",
    "gp": "an optimal design, then noisy expected improvement of a Gaussian process",
    "ax": "Ax's own default strategy, the baseline",
    "modomodo": "the paper's whole pipeline: seeds, all heuristics, then quadsurface",
    "quadsurface": "the paper's least squares on Gaussian candidates, after seeds if runs are few",
    **{name: f"seeds, then one mixture: {what}" for name, (what, _) in HEURISTICS.items()},
    "seed": "every domain alone, every domain left out, all together; then random",
    "lattice": "every domain alone, every pair in halves; then random",
    "centroid": "every domain alone and every equal blend of 2, 3 and 4; then random",
    "d-optimal": "runs that tell most about a quadratic's terms",
    "i-optimal": "runs after which predictions are most certain on average",
    "replicates": "the uniform mixture and the best run again, in turn, so that noise can be told",
    "random": "uniform samples of the space",
}
"""What can be asked for, and what it does."""


@dataclass(frozen=True, eq=False)
class Recommended:
    """The mixture to train with, and what is expected of it.

    Attributes:
        mean, sd: of the noise-free objective; of the run itself where there is no surrogate.
    """

    weights: FloatArray
    mean: float
    sd: float | None
    reason: str


def recommend(
    strategy: str, space: MixtureSpace, runs: Runs, seed: int, direction: Direction = "maximize"
) -> Recommended:
    """What a strategy would train with after these runs.

    Its surrogate's highest mean; the best run where it has none or runs are too few for it.

    Raises:
        KeyError: no such strategy.
        ValueError: no runs.
    """
    if strategy not in _STRATEGIES:
        raise KeyError(f"unknown strategy {strategy!r}; known: {', '.join(STRATEGIES)}")
    if len(runs) == 0:
        raise ValueError("nothing can be recommended before a run is scored")
    sign = 1.0 if direction == "maximize" else -1.0
    turned = runs if direction == "maximize" else runs.negated()
    name = _SURROGATE_OF.get(strategy)
    if name is None or len(runs) <= space.m:
        best = int(np.argmax(turned.score))
        return Recommended(runs.weights[best], float(runs.score[best]), None, "best run so far")
    fitted = fit(name, space, turned, seed)
    order = np.argsort(-fitted.predict(turned.weights)[0], kind="stable")
    rng = np.random.default_rng(seed)
    weights = fitted.highest(space, turned.weights[order[:8]], rng)
    mean, sd = fitted.predict(weights[None])
    reason = f"highest prediction of {fitted.name}; {fitted.kind}"
    return Recommended(weights, sign * float(mean[0]), float(sd[0]), reason)


_SURROGATE_OF = {
    "auto": "auto",
    "bayes-quadratic": "bayes-quadratic",
    "gp": "gp",
    "quadsurface": "quadsurface",
    "modomodo": "quadsurface",
}
"""Whose prediction a strategy goes by in the end; the others recommend their best run."""
