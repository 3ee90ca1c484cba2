"""Worlds in which scores have prices: full runs, their earlier steps, and merged experts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np

from bench import world
from bench.truths import NOISE, Truth, truth
from service.search.listed import ListedSpace
from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace, total_variation
from service.search.surrogates import fit
from service.search.surrogates.part import features_of

STEPS = (0.25, 0.5, 0.75, 1.0)
"""Where runs are scored, as shares of a whole run."""
MERGED_COST = 0.2
"""Of a run of the offline world: 5 or 6 CPU-seconds for 25 to 35 (bench.world_table's log)."""
EARLY_RHO = (0.6, 0.85, 0.95)
MERGED_RHO = 0.9
"""How far the channels of the emulators carry over; see `bench.evidence` for real ones."""
SHARED = 0.85
"""Correlation of a run's noise at different steps."""
OFFLINE = "offline world"


class Priced(Protocol):
    """A world to be searched; higher scores are better."""

    @property
    def space(self) -> MixtureSpace: ...

    def run(self, weights: FloatArray, rng: np.random.Generator) -> FloatArray:
        """(4,) scores of a new run at `STEPS`."""
        ...

    def price(self, weights: FloatArray, seed: int) -> float:
        """Score of the experts merged; the seed is that of the experts' runs."""
        ...

    def regret(self, weights: FloatArray) -> float:
        """How far below the best, as a share of the range."""
        ...


@cache
def priced(name: str) -> Priced:
    """The offline world, or one of `bench.truths` as an emulator."""
    return _offline() if name == OFFLINE else Emulator.of(truth(name))


@dataclass(frozen=True, eq=False)
class Table:
    """Real runs: each mixture has two, and two prices; which of them is had is drawn.

    How good a mixture is, is what a Gaussian process of all runs says: the best of so many means of
    two runs is best by chance.

    Attributes:
        runs: (k, 2, 4) scores by mixture, seed and step.
        prices: (k, 2).
        true: (k,) scores without the noise of runs, as far as it can be told.
    """

    space: ListedSpace
    runs: FloatArray
    prices: FloatArray
    true: FloatArray

    def _at(self, weights: FloatArray) -> int:
        return int(np.argmin(total_variation(weights, self.space.rows)))

    def run(self, weights: FloatArray, rng: np.random.Generator) -> FloatArray:
        scores: FloatArray = self.runs[self._at(weights), rng.integers(2)].copy()
        return scores

    def price(self, weights: FloatArray, seed: int) -> float:
        return float(self.prices[self._at(weights), seed % 2])

    def regret(self, weights: FloatArray) -> float:
        return float(self.true.max() - self.true[self._at(weights)]) / float(np.ptp(self.true))


def _offline(score: str = "out") -> Table:
    mixtures, scored = world.load(first=world.BEGINNING)
    runs: dict[str, dict[int, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    prices: dict[str, dict[int, float]] = defaultdict(dict)
    for one in scored:
        if one.kind == "run":
            runs[one.mixture][one.seed].append((one.step, one.scores[score]))
        if one.kind == "merged":
            prices[one.mixture][one.seed] = one.scores[score]
    kept = [name for name in runs if len(runs[name]) == 2 and len(prices[name]) == 2]
    X = np.array([mixtures[name] for name in kept])
    m = X.shape[1]
    domains = [f"d{i}" for i in range(m)]
    space = ListedSpace(tuple(domains), np.zeros(m), np.ones(m), rows=X)
    scores = np.array([[_by_step(runs[name][s]) for s in sorted(runs[name])] for name in kept])
    unknown = np.full(2 * len(kept), np.nan)
    everything = Runs(np.repeat(X, 2, axis=0), scores[:, :, -1].ravel(), unknown, unknown, unknown)
    true, _ = fit("gp", space, everything, 0).predict(X)
    found = np.array([[prices[name][s] for s in sorted(prices[name])] for name in kept])
    return Table(space, scores, found, true)


def _by_step(scored: list[tuple[int, float]]) -> list[float]:
    """Scores of a run at `STEPS`; one that ran out of samples stays as it ended."""
    last = 24
    return [
        [score for step, score in sorted(scored) if step <= share * last][-1] for share in STEPS
    ]


@dataclass(frozen=True, eq=False)
class Emulator:
    """A known objective with made-up channels: each a share of it and of a quadratic of its own."""

    truth: Truth
    own: FloatArray
    """(4, p) coefficients: of earlier steps, and of prices."""
    centre: float
    scale: float
    own_centre: FloatArray
    own_scale: FloatArray

    @classmethod
    def of(cls, true: Truth) -> Emulator:
        rng = np.random.default_rng(7)
        X = true.space.sample(2000, rng)
        F, y = features_of(X, 0.5), true.score(X)
        own = rng.normal(size=(4, F.shape[1]))
        values = F @ own.T
        return cls(true, own, float(y.mean()), float(y.std()), values.mean(0), values.std(0))

    @property
    def space(self) -> MixtureSpace:
        return self.truth.space

    def _shares(self, weights: FloatArray) -> tuple[float, FloatArray]:
        X = weights[None]
        own = ((features_of(X, 0.5) @ self.own.T)[0] - self.own_centre) / self.own_scale
        return (float(self.truth.score(X)[0]) - self.centre) / self.scale, own

    def run(self, weights: FloatArray, rng: np.random.Generator) -> FloatArray:
        z, own = self._shares(weights)
        common, *each = rng.normal(size=5)
        noise = NOISE * (SHARED**0.5 * common + (1 - SHARED) ** 0.5 * np.array(each))
        rho = np.array([*EARLY_RHO, 1.0])
        true = rho * z + np.sqrt(1 - rho**2) * np.append(own[:3], 0.0)
        scores: FloatArray = self.centre + self.scale * true * np.array([0.4, 0.7, 0.9, 1]) + noise
        return scores

    def price(self, weights: FloatArray, seed: int) -> float:
        z, own = self._shares(weights)
        rng = np.random.default_rng([seed, *np.round(1000 * weights).astype(int)])
        true = MERGED_RHO * z + np.sqrt(1 - MERGED_RHO**2) * own[3]
        return self.centre + self.scale * true + NOISE * float(rng.normal())

    def regret(self, weights: FloatArray) -> float:
        return self.truth.regret(weights)
