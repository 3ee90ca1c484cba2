"""What proposes the next mixtures.

A strategy is a generator of suggestions in order of preference. `propose` takes the first n that
are not being tried or were not tried already; when a strategy has nothing left to say, uniform
samples of the space follow, as they do while too few runs are scored for anything better. Inside,
higher scores are better.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from service.search import by_goal, by_surrogate, openings
from service.search.goals import Goal
from service.search.heuristics import AS_PUBLISHED, HEURISTICS, HeuristicOptions
from service.search.runs import TARGET, Runs
from service.search.situation import (
    FULL_RUNS,
    Begun,
    Direction,
    Opening,
    Proposed,
    Situation,
    Strategy,
    sign_of,
    turn,
)
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates import fit


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
    costs: Mapping[str, float] = FULL_RUNS,
    pending_in: Mapping[str, FloatArray] | None = None,
    begun: Begun | None = None,
    n_continued: int = 0,
    spent: float = 0.0,
    goal: Goal | None = None,
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
        costs: of a score in each channel that may be proposed, in full runs.
        pending_in: (p, m) mixtures whose scores in channels other than the target are to come.
        begun: runs that stand at a step: none is begun again, and its rest may be what is proposed.
        n_continued: of how many at most.
        spent: of the budget, on what is neither among `runs` nor pending, in full runs.
        goal: what is wanted beside, or instead of, the objective, whose outputs are made of the
            runs' benchmarks; for `goal_beliefs.PURSUING`, others look at the objective alone.

    Raises:
        KeyError: no such strategy; the message lists them.
    """
    if strategy not in _STRATEGIES:
        raise KeyError(f"unknown strategy {strategy!r}; known: {', '.join(STRATEGIES)}")
    sign = sign_of(direction)
    situation = Situation(
        space,
        turn(runs, direction),
        sign,
        {
            name: np.asarray(mixtures, dtype=float).reshape(-1, space.m)
            for name, mixtures in {**(pending_in or {}), TARGET: pending}.items()
        },
        np.empty((0, space.m)) if avoid is None else np.asarray(avoid).reshape(-1, space.m),
        seed,
        budget,
        opening,
        heuristics,
        costs,
        begun,
        n_continued,
        spent,
        goal,
    )
    chosen: list[Proposed] = []
    if n < 1:
        return chosen
    for suggestion in chain(_STRATEGIES[strategy](situation), openings.at_random(situation)):
        if suggestion is None:
            return chosen
        is_new = situation.is_new(suggestion.weights, suggestion.channel)
        if not suggestion.is_repeat and not is_new:
            continue
        situation.taken.append((suggestion.channel, suggestion.weights))
        if suggestion.run is not None:
            situation.continued.append(suggestion.run)
        mean = None if suggestion.mean is None else sign * suggestion.mean
        chosen.append(replace(suggestion, mean=mean))
        if len(chosen) == n:
            return chosen
    # A space so small that everything in it was tried: try its centre again.
    again = Proposed(
        space.uniform, None, None, "every mixture was tried: once more", "repeat", True
    )
    return chosen + [again] * (n - len(chosen))


def _then(*parts: Strategy) -> Strategy:
    def suggest(situation: Situation) -> Iterator[Proposed | None]:
        for part in parts:
            yield from part(situation)

    return suggest


def _by_surrogate(name: str, plain: Strategy) -> Strategy:
    """One that can pursue goals, too: `plain` where there is none."""
    first = openings.of_mixtures(openings.opening)
    return _then(first, openings.orders, by_goal.pursuing(name, plain))


_STRATEGIES: dict[str, Strategy] = {
    "seed": openings.of_mixtures(openings.seed),
    "random": _then(),  # what follows every strategy
    **{name: _then(openings.seed, openings.heuristic(name)) for name in HEURISTICS},
    "quadsurface": _then(openings.seeds_first, by_surrogate.quadsurface),
    "bayes-quadratic": _by_surrogate(
        "bayes-quadratic", by_surrogate.knowledge_gradient("bayes-quadratic")
    ),
    "gp": _by_surrogate("gp", by_surrogate.gp),
    "auto": _by_surrogate("auto", by_surrogate.knowledge_gradient("auto")),
    "ax": by_surrogate.by_ax,
    "lattice": openings.by_lattice,
    "centroid": openings.by_centroid,
    "d-optimal": openings.by_criterion("D"),
    "i-optimal": openings.by_criterion("I"),
    "replicates": openings.replicates,
    "modomodo": _then(
        openings.seed, *map(openings.heuristic, HEURISTICS), by_surrogate.quadsurface
    ),
}

WITH_SCHEDULES = ("auto", "bayes-quadratic", "seed", "random")
"""Strategies that propose mixtures which change on the way: `seed` after its own."""

BLIND = frozenset({"random", "seed", "lattice", "centroid", "d-optimal", "i-optimal"})
"""Strategies that look at no score: what they have proposed stays as good, whatever the results."""

STRATEGIES: dict[str, str] = {
    "auto": "an optimal design, then the most informative runs by surrogates averaged by how well "
    "they predict runs, then confirmations",
    "bayes-quadratic": "an optimal design, then the most informative runs by a Bayesian quadratic",
    "gp": "an optimal design, then noisy expected improvement of a Gaussian process",
    "ax": "Ax's own default strategy, the baseline",
    "modomodo": "the paper's whole pipeline: seeds, all heuristics, then quadsurface",
    "quadsurface": "the paper's least squares on Gaussian candidates, after seeds if runs are few",
    **{name: f"seeds, then one mixture: {what}" for name, (what, _) in HEURISTICS.items()},
    "seed": "every domain alone, every domain left out, all together; then random",
    "lattice": "every domain alone, every pair in halves; then random",
    "centroid": "every domain alone and every equal blend of 2, 3 and 4; then random",
    "d-optimal": "runs that determine the terms of a quadratic best",
    "i-optimal": "runs after which predictions are most certain on average",
    "replicates": "the uniform mixture and the best run again, in turn, to measure the noise",
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
    sign, turned = sign_of(direction), turn(runs, direction)
    name = _SURROGATE_OF.get(strategy)
    if name is None or len(runs) <= space.m:
        allowed = np.flatnonzero(space.contains(runs.weights, 1e-6))
        among = allowed if len(allowed) else np.arange(len(runs))
        best = int(among[np.argmax(turned.score[among])])
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
