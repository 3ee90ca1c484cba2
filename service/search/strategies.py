"""What proposes the next mixtures.

A strategy is a generator of suggestions in order of preference. `propose` takes the first n that
are not being tried or were not tried already; when a strategy has nothing left to say, uniform
samples of the space follow, as they do while too few runs are scored for anything better. Inside,
higher scores are better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

import numpy as np

from service.search.designs import gaussian_candidates, seed_design
from service.search.heuristics import HEURISTICS
from service.search.runs import Runs
from service.search.space import SAME, FloatArray, MixtureSpace, total_variation
from service.search.surrogates import fit

Direction = Literal["maximize", "minimize"]

SEEDS_NEEDED = 0.75
"""Share of the seeds that must be scored before a heuristic speaks."""

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
    """What a strategy may look at. `taken` grows as suggestions are accepted.

    Attributes:
        runs: turned so that higher scores are better.
        sign: -1.0 where they were turned, to say predictions as the user knows them.
    """

    space: MixtureSpace
    runs: Runs
    sign: float
    pending: FloatArray
    avoid: FloatArray
    seed: int
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
) -> list[Proposed]:
    """The next n mixtures; the same arguments give the same answer.

    Fewer than n where a strategy wants to see scores first that are on their way.

    Args:
        pending: (p, m) mixtures whose scores are still to come; they are not proposed again.
        avoid: (k, m) mixtures that cannot be scored; they are not proposed again either.

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
    )
    chosen: list[Proposed] = []
    if n < 1:
        return chosen
    for suggestion in chain(_STRATEGIES[strategy](situation), _random(situation)):
        if suggestion is None:
            return chosen
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


def _opening(situation: _Situation) -> Iterator[Proposed]:
    """Seeds for as long as fewer runs than seeds are known or on their way."""
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
        weights = weigh(situation.runs.averaged(groups))
        if weights is not None:
            reason = f"{name}: {what}, from {len(groups)} of {len(seeds)} seed mixtures"
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
    from service.search import acquisition  # torch: seconds, so only when asked
    from service.search.surrogates.gp import GaussianProcessFit

    fitted = fit("gp", space, runs, situation.seed)
    assert isinstance(fitted, GaussianProcessFit)  # noqa: S101

    def said(weights: FloatArray, why: str) -> Proposed:
        mean, sd = fitted.predict(weights[None])
        reason = (
            f"gp: {why}, predicted {situation.sign * mean[0]:.4g} from {len(runs)} runs with "
            f"{len(situation.unscored())} more on their way"
        )
        return Proposed(weights, float(mean[0]), float(sd[0]), reason, "gp")

    while len(situation.unscored()) <= acquisition.MAX_PENDING:
        points = acquisition.best_next(fitted, space, situation.unscored(), situation.seed)
        fresh = next((point for point in points if situation.is_new(point)), None)
        if fresh is None:
            return
        yield said(fresh, "highest noisy expected improvement")
    for point in acquisition.thompson(fitted, space, situation.is_new, situation.seed):
        yield said(point, "best of one draw from the posterior")


def _then(*parts: Strategy) -> Strategy:
    def suggest(situation: _Situation) -> Iterator[Proposed | None]:
        for part in parts:
            yield from part(situation)

    return suggest


_STRATEGIES: dict[str, Strategy] = {
    "seed": _seed,
    "random": _random,
    **{name: _then(_seed, _heuristic(name)) for name in HEURISTICS},
    "quadsurface": _then(_opening, _quadsurface),
    "gp": _then(_opening, _gp),
    "modomodo": _then(_seed, *map(_heuristic, HEURISTICS), _quadsurface),
}

STRATEGIES: dict[str, str] = {
    "seed": "every domain alone, every domain left out, all together; then random",
    "random": "uniform samples of the space",
    **{name: f"seeds, then one mixture: {what}" for name, (what, _) in HEURISTICS.items()},
    "quadsurface": "the paper's least squares on Gaussian candidates, after seeds if runs are few",
    "gp": "noisy expected improvement of a Gaussian process, after seeds if runs are few",
    "modomodo": "the paper's whole pipeline: seeds, all heuristics, then quadsurface",
}
"""What can be asked for, and what it does."""
