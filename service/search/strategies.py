"""What proposes the next mixtures.

A strategy is a generator of suggestions in order of preference. `propose` takes the first n that
are not being tried or were not tried already; when a strategy has nothing left to say, uniform
samples of the space follow. Inside, higher scores are better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

import numpy as np

from service.search.designs import seed_design
from service.search.heuristics import HEURISTICS
from service.search.runs import Runs
from service.search.space import SAME, FloatArray, MixtureSpace, total_variation
from service.search.surrogates import fit
from service.search.surrogates.quadsurface import QuadSurfaceFit

Direction = Literal["maximize", "minimize"]

CANDIDATES = 5000
"""Mixtures that quadsurface chooses from."""

MAX_RANDOM = 1000


@dataclass(frozen=True, eq=False)
class Proposed:
    """A mixture to try next.

    Attributes:
        weights: (m,) exactly feasible.
        mean, sd: what the strategy's surrogate expects of the noise-free objective; None where the
            strategy has no surrogate.
        reason: in words.
        strategy: the part of the strategy that spoke: a pipeline passes through several.
    """

    weights: FloatArray
    mean: float | None
    sd: float | None
    reason: str
    strategy: str


@dataclass(eq=False)
class _Situation:
    """What a strategy may look at. `taken` grows as suggestions are accepted."""

    space: MixtureSpace
    runs: Runs
    pending: FloatArray
    seed: int
    taken: list[FloatArray] = field(default_factory=list)

    def is_new(self, weights: FloatArray) -> bool:
        known = np.vstack([self.runs.weights, self.pending, *(t[None] for t in self.taken)])
        return bool(np.all(total_variation(weights, known) > SAME))

    def unscored(self) -> FloatArray:
        """(p, m) mixtures whose scores are still to come, this call's own among them."""
        return np.vstack([self.pending, *(t[None] for t in self.taken)])

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


Strategy = Callable[[_Situation], Iterator[Proposed]]


def propose(
    strategy: str,
    space: MixtureSpace,
    runs: Runs,
    pending: FloatArray,
    n: int,
    seed: int,
    direction: Direction = "maximize",
) -> list[Proposed]:
    """The next n mixtures; the same arguments give the same answer.

    Args:
        pending: (p, m) mixtures whose scores are still to come; they are not proposed again.

    Raises:
        KeyError: no such strategy; the message lists them.
    """
    if strategy not in _STRATEGIES:
        raise KeyError(f"unknown strategy {strategy!r}; known: {', '.join(STRATEGIES)}")
    sign = 1.0 if direction == "maximize" else -1.0
    situation = _Situation(
        space,
        runs if direction == "maximize" else runs.negated(),
        np.asarray(pending, dtype=float).reshape(-1, space.m),
        seed,
    )
    chosen: list[Proposed] = []
    if n < 1:
        return chosen
    for suggestion in chain(_STRATEGIES[strategy](situation), _random(situation)):
        if not situation.is_new(suggestion.weights):
            continue
        situation.taken.append(suggestion.weights)
        chosen.append(
            Proposed(
                suggestion.weights,
                None if suggestion.mean is None else sign * suggestion.mean,
                suggestion.sd,
                suggestion.reason,
                suggestion.strategy,
            )
        )
        if len(chosen) == n:
            return chosen
    # A space so small that everything in it was tried: try its centre again.
    again = Proposed(space.uniform, None, None, "every mixture was tried: once more", "repeat")
    return chosen + [again] * (n - len(chosen))


def _seed(situation: _Situation) -> Iterator[Proposed]:
    for point in seed_design(situation.space):
        yield Proposed(point.weights, None, None, point.reason, "seed")


def _random(situation: _Situation) -> Iterator[Proposed]:
    rng = situation.rng()
    for _ in range(MAX_RANDOM):
        weights = situation.space.sample(1, rng)[0]
        yield Proposed(weights, None, None, "uniform sample of the space", "random")


def _heuristic(name: str) -> Strategy:
    what, weigh = HEURISTICS[name]

    def suggest(situation: _Situation) -> Iterator[Proposed]:
        seeds = [point.weights for point in seed_design(situation.space)]
        is_seed = [
            bool(np.any(total_variation(x, np.array(seeds)) < SAME)) for x in situation.runs.weights
        ]
        known = situation.runs.subset(np.array(is_seed, dtype=bool))
        weights = weigh(known) if len(known) else None
        if weights is not None:
            reason = f"{name}: {what}, from {len(known)} of {len(seeds)} seed runs"
            yield Proposed(situation.space.project(weights), None, None, reason, name)

    return suggest


def _quadsurface(situation: _Situation) -> Iterator[Proposed]:
    """Algorithm 4: candidates from one Gaussian around the tried mixtures, best predicted first."""
    space, runs = situation.space, situation.runs
    if len(runs) < 2:
        return
    fitted = fit("quadsurface", space, runs, situation.seed)
    assert isinstance(fitted, QuadSurfaceFit)  # noqa: S101
    candidates = _gaussian_candidates(space, runs, situation.rng())
    mean, sd = fitted.predict(candidates)
    for i in np.argsort(-mean, kind="stable"):
        reason = (
            f"quadsurface: highest prediction of {len(candidates)} candidates, "
            f"fitted to {len(runs)} runs"
        )
        yield Proposed(candidates[i], float(mean[i]), float(sd[i]), reason, "quadsurface")


def _gaussian_candidates(space: MixtureSpace, runs: Runs, rng: np.random.Generator) -> FloatArray:
    """(k, m) draws from a Gaussian with the tried mixtures' mean and covariance.

    Draws with a negative weight are dropped and the rest normalised, as published; draws out of
    bounds are dropped too.
    """
    centre = runs.weights.mean(axis=0)
    # scikit-learn's GaussianMixture of one component: this covariance, and 1e-6 on its diagonal.
    covariance = np.cov(runs.weights, rowvar=False, bias=True).reshape(space.m, space.m)
    draws = rng.multivariate_normal(
        centre, covariance + 1e-6 * np.eye(space.m), size=CANDIDATES, method="eigh"
    )
    draws = draws[np.all(draws >= 0, axis=1) & (draws.sum(axis=1) > 0)]
    draws /= draws.sum(axis=1, keepdims=True)
    return np.array([space.project(x) for x in draws[space.contains(draws)]]).reshape(-1, space.m)


def _gp(situation: _Situation) -> Iterator[Proposed]:
    space, runs = situation.space, situation.runs
    if len(runs) < 2:
        return
    from service.search.acquisition import best_next
    from service.search.surrogates.gp import GaussianProcessFit

    fitted = fit("gp", space, runs, situation.seed)
    assert isinstance(fitted, GaussianProcessFit)  # noqa: S101
    for attempt in range(MAX_RANDOM):
        points = best_next(fitted, space, situation.unscored(), situation.seed + attempt)
        fresh = [point for point in points if situation.is_new(point)]
        if not fresh:
            return
        mean, sd = fitted.predict(fresh[0][None])
        reason = (
            f"gp: highest noisy expected improvement after {len(runs)} runs, "
            f"{len(situation.unscored())} more on their way"
        )
        yield Proposed(fresh[0], float(mean[0]), float(sd[0]), reason, "gp")


def _then(*parts: Strategy) -> Strategy:
    def suggest(situation: _Situation) -> Iterator[Proposed]:
        for part in parts:
            yield from part(situation)

    return suggest


_STRATEGIES: dict[str, Strategy] = {
    "seed": _seed,
    "random": _random,
    **{name: _then(_seed, _heuristic(name)) for name in HEURISTICS},
    "quadsurface": _then(_seed, _quadsurface),
    "gp": _then(_seed, _gp),
    "modomodo": _then(_seed, *map(_heuristic, HEURISTICS), _quadsurface),
}

STRATEGIES: dict[str, str] = {
    "seed": "every domain alone, every domain left out, all together; then random",
    "random": "uniform samples of the space",
    **{name: f"seeds, then one mixture: {what}" for name, (what, _) in HEURISTICS.items()},
    "quadsurface": "seeds, then the paper's least squares on Gaussian candidates",
    "gp": "seeds, then noisy expected improvement of a Gaussian process",
    "modomodo": "the paper's whole pipeline: seeds, all heuristics, then quadsurface",
}
"""What can be asked for, and what it does."""
