"""Which run would teach most about where the best mixture is: the knowledge gradient.

Works for every surrogate that has a joint belief, and judges a run by what it is expected to add to
the highest posterior mean: what matters in the end is the mixture that will be recommended, not
the luckiest score on the way (Frazier, Powell and Dayanik, "The knowledge-gradient policy for
correlated normal beliefs", 2009).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from service.search.gaussian import quantiles
from service.search.space import SAME, FloatArray, MixtureSpace, total_variation
from service.search.surrogates.protocol import Fitted, Posterior

DRAWS = 32
"""Maxima of draws from the belief among the candidates."""
LISTED = 512
"""Of a list of mixtures, at most so many are candidates: the best by mean."""
SAMPLES = 64
"""Uniform samples among the candidates."""
KEPT_RUNS = 32
"""Tried mixtures, the best by mean, that may be run once more."""
LEVELS = 31
"""Outcomes of a run that are looked at: quantiles of its predictive distribution."""

PATHS = 1024
"""Draws of the whole belief for the chance that something better is left."""

LEAST_VARIANCE = 1e-12

_OUTCOMES = quantiles(LEVELS)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A mixture to run next.

    Attributes:
        weights: (m,).
        mean, sd: belief about the noise-free objective there.
        gain: by how much a run of it is expected to raise the highest posterior mean.
    """

    weights: FloatArray
    mean: float
    sd: float
    gain: float


@dataclass(eq=False)
class Knowledge:
    """A joint belief about mixtures that may be best, as it will be once pending runs are scored.

    Attributes:
        X: (k, m) candidates, distinct.
        belief: about them now.
        covariance: (k, k) that will be left when what is pending has its scores.
        noise: variance of a run.
    """

    X: FloatArray
    belief: Posterior
    covariance: FloatArray
    noise: float

    @classmethod
    def gathered(
        cls, fitted: Fitted, space: MixtureSpace, pending: FloatArray, rng: np.random.Generator
    ) -> Knowledge:
        """Candidates: the maxima of draws, the highest mean, good tried mixtures, the uniform one,
        random ones, corners, and what is pending. Of a list of mixtures, all or the best.
        """
        runs = fitted.runs.weights
        tried = runs[np.argsort(-fitted.predict(runs)[0], kind="stable")][:KEPT_RUNS]
        listed = space.listed()
        if listed is not None:
            order = np.argsort(-fitted.predict(listed)[0], kind="stable")
            return cls._of(fitted, pending, listed[order[:LISTED]])
        parts = [
            fitted.highest(space, tried, rng)[None],
            fitted.maxima(space, DRAWS, tried[:8], rng),
            space.project(tried),
            space.uniform[None],
            space.sample(SAMPLES, rng),
        ]
        if space.has_listed_vertices:
            corners = space.vertices()
            parts.append(corners[: 4 * space.m])
        return cls._of(fitted, pending, np.vstack(parts))

    @classmethod
    def _of(cls, fitted: Fitted, pending: FloatArray, candidates: FloatArray) -> Knowledge:
        X = np.vstack([pending, _distinct(candidates)])
        belief = fitted.posterior(X)
        noise = fitted.noise_sd**2
        covariance = belief.covariance
        for i in range(len(pending)):
            covariance = _observed(covariance, i, noise)
        return cls(X, belief, covariance, noise)

    def best(self, barred: FloatArray) -> Candidate:
        """The candidate with the highest knowledge gradient that is none of the barred (b, m)."""
        return self._first(self.gains, barred)

    def highest(self, barred: FloatArray) -> Candidate:
        """The candidate with the highest mean that is none of the barred (b, m)."""
        return self._first(self.belief.mean, barred)

    def _first(self, worth: FloatArray, barred: FloatArray) -> Candidate:
        if len(barred):
            near = np.abs(self.X[:, None, :] - barred).sum(axis=-1).min(axis=1) / 2
            worth = np.where(near > SAME, worth, -np.inf)
        i = int(np.argmax(worth))
        mean, sd = float(self.belief.mean[i]), float(self.belief.sd[i])
        return Candidate(self.X[i], mean, sd, float(self.gains[i]))

    @cached_property
    def gains(self) -> FloatArray:
        """(k,) expected rise of the highest mean by one run of each candidate."""
        mean = self.belief.mean
        variance = np.clip(np.diag(self.covariance), 0, None) + self.noise + LEAST_VARIANCE
        moves = self.covariance / np.sqrt(variance)[:, None]
        # Candidate by candidate, mean by mean, outcome by outcome.
        highest = (mean[None, :, None] + moves[:, :, None] * _OUTCOMES).max(axis=1)
        gains: FloatArray = highest.mean(axis=1) - mean.max()
        return np.maximum(gains, 0.0)

    def chance_of_better(self, margin: float, rng: np.random.Generator) -> float:
        """Probability that some candidate beats the one with the highest mean by over `margin`."""
        values, vectors = np.linalg.eigh(self.belief.covariance)
        spread = vectors * np.sqrt(np.clip(values, 0, None))
        draws = self.belief.mean + rng.normal(size=(PATHS, len(self.X))) @ spread.T
        incumbent = draws[:, int(np.argmax(self.belief.mean))]
        return float((draws.max(axis=1) > incumbent + margin).mean())

    def after(self, weights: FloatArray) -> Knowledge:
        """What will be known when one more run of a candidate has its score."""
        i = int(np.argmin(total_variation(weights, self.X)))
        return Knowledge(self.X, self.belief, _observed(self.covariance, i, self.noise), self.noise)


def _observed(covariance: FloatArray, i: int, noise: float) -> FloatArray:
    """The covariance after a run of candidate i."""
    row = covariance[i]
    left: FloatArray = covariance - np.outer(row, row) / (max(row[i], 0.0) + noise + LEAST_VARIANCE)
    return left


def _distinct(X: FloatArray) -> FloatArray:
    """Without those that are as good as the same as an earlier one."""
    kept: list[FloatArray] = []
    for x in X:
        if not kept or np.all(total_variation(x, np.array(kept)) > SAME / 5):
            kept.append(x)
    return np.array(kept)
