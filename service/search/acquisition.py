"""Which score would teach most about where the best mixture is: the knowledge gradient.

Works for every surrogate that has a joint belief, and judges a score by what it is expected to add
to the highest posterior mean: what matters in the end is the mixture that will be recommended, not
the luckiest score on the way (Frazier, Powell and Dayanik, "The knowledge-gradient policy for
correlated normal beliefs", 2009). Where there is something cheaper than a full run, whatever adds
most for its cost comes first (Poloczek, Wang and Frazier, "Multi-information source optimization",
2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from service.search.gaussian import quantiles
from service.search.runs import TARGET
from service.search.situation import FULL_RUNS
from service.search.space import SAME, FloatArray, MixtureSpace, total_variation
from service.search.surrogates.protocol import Fitted, Posterior, of_target_alone

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
    """What to do next.

    Attributes:
        weights: (m,).
        mean, sd: belief about the noise-free objective there.
        gain: by how much its score is expected to raise the highest posterior mean.
        channel, cost: what of it is scored, and what that costs in full runs.
    """

    weights: FloatArray
    mean: float
    sd: float
    gain: float
    channel: str
    cost: float


@dataclass(eq=False)
class Knowledge:
    """A joint belief about mixtures that may be best, as it will be once pending runs are scored.

    Attributes:
        X: (k, m) candidates, distinct.
        belief: about them now.
        covariance: (A k, A k) of all channels, the target first, that will be left when what is
            pending has its scores.
        noise: (A,) variance of a score in each.
        costs: of a score in each, in full runs.
    """

    X: FloatArray
    belief: Posterior
    covariance: FloatArray
    noise: FloatArray
    costs: Mapping[str, float] = field(default_factory=lambda: FULL_RUNS)

    @classmethod
    def gathered(
        cls,
        fitted: Fitted,
        space: MixtureSpace,
        pending: Mapping[str, FloatArray],
        rng: np.random.Generator,
        costs: Mapping[str, float] = FULL_RUNS,
    ) -> Knowledge:
        """Candidates: the maxima of draws, the highest mean, good tried mixtures, the uniform one,
        random ones, corners, and what is pending. Of a list of mixtures, all or the best.

        Args:
            pending: (p, m) mixtures whose scores are to come, by channel.
            costs: of a score in each channel that may be proposed.
        """
        runs = fitted.runs.weights
        order = np.argsort(-fitted.predict(runs)[0], kind="stable")
        tried = space.within(runs[order[:KEPT_RUNS]])
        listed = space.listed()
        if listed is not None:
            order = np.argsort(-fitted.predict(listed)[0], kind="stable")
            return cls._of(fitted, pending, listed[order[:LISTED]], costs)
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
        return cls._of(fitted, pending, np.vstack(parts), costs)

    @classmethod
    def _of(
        cls,
        fitted: Fitted,
        pending: Mapping[str, FloatArray],
        candidates: FloatArray,
        costs: Mapping[str, float],
    ) -> Knowledge:
        X = np.vstack([*pending.values(), _distinct(candidates)])
        belief = fitted.posterior(X)
        channels = [name for name in costs if name != TARGET and name in fitted.channels]
        joint = fitted.joint(X) if channels else of_target_alone(belief, fitted.noise_sd)
        names = [name for name in (TARGET, *channels) if name in joint.names]
        rows = [joint.names.index(name) for name in names]
        k = len(X)
        at = np.concatenate([np.arange(row * k, (row + 1) * k) for row in rows])
        known = cls(
            X,
            belief,
            joint.covariance[np.ix_(at, at)],
            joint.noise[rows],
            {name: costs.get(name, 1.0) for name in names},
        )
        i = 0
        for name, mixtures in pending.items():
            for _ in mixtures:
                if name in names:
                    known = known._after(names.index(name), i)
                i += 1
        return known

    def best(self, barred: Mapping[str, FloatArray]) -> Candidate:
        """What gains most for its cost, none of the mixtures barred in its channel (b, m)."""
        costs = np.array(list(self.costs.values()))
        return self._first(self.gains / costs[:, None], barred)

    def highest(self, barred: Mapping[str, FloatArray]) -> Candidate:
        """A full run of the candidate with the highest mean that is none of the barred."""
        return self._first(self.belief.mean[None], barred)

    def _first(self, worth: FloatArray, barred: Mapping[str, FloatArray]) -> Candidate:
        worth = worth.copy()
        for values, name in zip(worth, self.costs, strict=False):
            if len(mixtures := barred.get(name, ())):
                near = np.abs(self.X[:, None, :] - mixtures).sum(axis=-1).min(axis=1) / 2
                values[near <= SAME] = -np.inf
        c, i = np.unravel_index(int(np.argmax(worth)), worth.shape)
        mean, sd = float(self.belief.mean[i]), float(self.belief.sd[i])
        name = list(self.costs)[c]
        return Candidate(self.X[i], mean, sd, float(self.gains[c, i]), name, self.costs[name])

    @cached_property
    def gains(self) -> FloatArray:
        """(A, k) expected rise of the highest mean by one score of each candidate in each."""
        mean, k = self.belief.mean, len(self.X)
        noise = np.repeat(self.noise, k)
        variance = np.clip(np.diag(self.covariance), 0, None) + noise + LEAST_VARIANCE
        moves = self.covariance[:, :k] / np.sqrt(variance)[:, None]
        # Score by score, mean by mean, outcome by outcome.
        highest = (mean[None, :, None] + moves[:, :, None] * _OUTCOMES).max(axis=1)
        gains: FloatArray = highest.mean(axis=1) - mean.max()
        return np.maximum(gains, 0.0).reshape(-1, k)

    def chance_of_better(self, margin: float, rng: np.random.Generator) -> float:
        """Probability that some candidate beats the one with the highest mean by over `margin`."""
        values, vectors = np.linalg.eigh(self.belief.covariance)
        spread = vectors * np.sqrt(np.clip(values, 0, None))
        draws = self.belief.mean + rng.normal(size=(PATHS, len(self.X))) @ spread.T
        incumbent = draws[:, int(np.argmax(self.belief.mean))]
        return float((draws.max(axis=1) > incumbent + margin).mean())

    def after(self, weights: FloatArray, channel: str = TARGET) -> Knowledge:
        """What will be known when a candidate has one more score in a channel."""
        i = int(np.argmin(total_variation(weights, self.X)))
        return self._after(list(self.costs).index(channel), i)

    def _after(self, c: int, i: int) -> Knowledge:
        row = self.covariance[c * len(self.X) + i]
        variance = max(row[c * len(self.X) + i], 0.0) + self.noise[c] + LEAST_VARIANCE
        left = self.covariance - np.outer(row, row) / variance
        return Knowledge(self.X, self.belief, left, self.noise, self.costs)


def _distinct(X: FloatArray) -> FloatArray:
    """Without those that are as good as the same as an earlier one."""
    kept: list[FloatArray] = []
    for x in X:
        if not kept or np.all(total_variation(x, np.array(kept)) > SAME / 5):
            kept.append(x)
    return np.array(kept)
