"""A quadratic with a belief about every coefficient: the paper's model, made Bayesian.

The objective is `c + a . z + sum b_ij z_i z_j` over pairs i < j. With z the weights this is the
Scheffe quadratic, all that a quadratic can identify on the simplex; with z their square or fourth
roots it is an effect that saturates, as effects of more data do. Coefficients have normal priors;
how large linear and pair terms are, and how noisy a run is, is not chosen but averaged over, each
setting by how well it explains the runs, so the intervals know that these scales are unknown too.
Weights and their roots are averaged by the density they give to left-out runs. Everything is in
closed form: no iteration, no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from service.search import gaussian
from service.search.quadratics import Blend, Quadratic, climb, has_few_faces, maximise
from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates import regression
from service.search.surrogates.protocol import ENDLESS, Posterior
from service.search.surrogates.standard import centre_and_scale, least_spread_of

POWERS = (1.0, 0.5, 0.25)
"""Of the weights. The fourth root is nearly a logarithm that is finite at 0."""

LINEAR = np.geomspace(0.15, 6.0, 7)
PAIRS = np.geomspace(0.05, 6.0, 6)
NOISE = np.geomspace(0.03, 1.0, 7)
"""Settings that are averaged over: standard deviations in units of the scores' own, of what linear
terms and pair terms add over the runs, and of a run around the quadratic."""

TYPICAL = (1.0, 0.5, 0.25)
"""Medians of the log-normal priors of these three; their log standard deviation is 1."""

LEVEL = 10.0
"""Prior standard deviation of the constant, in the same unit: it is left to the runs."""

NEGLIGIBLE = 1e-3
"""Settings with less weight than this are left out of predictions."""
MIN_SHARE = 0.05
"""Powers with a share of the belief below this are left out altogether."""


STARTS = 256
"""Random mixtures of which the best are climbed from."""
FEW_FACES = 500
"""Up to here going through all faces is as quick as a climb."""


class BayesQuadratic:
    """Averages over scales, noise and roots of the weights."""

    min_runs = 2
    max_runs = ENDLESS

    def __init__(self, powers: Sequence[float] = POWERS) -> None:
        self._powers = powers

    def fit(self, space: MixtureSpace, runs: Runs, seed: int) -> BayesQuadraticFit:
        """Deterministic; the seed is not used."""
        close = least_spread_of(space, runs)
        parts = [_Part.fitted(runs, power, close) for power in self._powers]
        log_density = np.array([part.log_density for part in parts])
        share = np.exp(log_density - logsumexp(log_density))
        share = np.where(share < MIN_SHARE, 0.0, share)
        share /= share.sum()
        kept = np.flatnonzero(share)
        return BayesQuadraticFit([parts[i] for i in kept], share[kept], runs)


@dataclass(frozen=True, eq=False)
class BayesQuadraticFit:
    """`parts` quadratics on powers of the weights, with their `share` of the belief."""

    parts: list[_Part]
    share: FloatArray
    runs: Runs

    name = "bayes-quadratic"
    n_fitted = 0

    @property
    def kind(self) -> str:
        names = {1.0: "raw weights", 0.5: "square roots", 0.25: "fourth roots"}
        said = [
            f"{100 * share:.0f}% on {names.get(power, f'weights to the power {power:g}')}"
            for power, share in self.power_share.items()
        ]
        return f"quadratic, {', '.join(said)}"

    @property
    def noise_sd(self) -> float:
        """Of a run with the usual sampling error: sampling and training noise together."""
        variances = [part.noise_variance for part in self.parts]
        return float(np.sqrt(self.share @ variances + _sampling_variance(self.runs).mean()))

    @property
    def power_share(self) -> dict[float, float]:
        """How much of the belief each power of the weights has."""
        return {part.power: float(s) for part, s in zip(self.parts, self.share, strict=True)}

    def predict(self, X: FloatArray, *, noisy: bool = False) -> tuple[FloatArray, FloatArray]:
        each = [part.predict(np.atleast_2d(X)) for part in self.parts]
        means, variances = np.array([m for m, _ in each]), np.array([v for _, v in each])
        mean = self.share @ means
        variance = self.share @ (variances + (means - mean) ** 2)
        return mean, np.sqrt(variance + (self.noise_sd**2 if noisy else 0.0))

    def posterior(self, X: FloatArray) -> Posterior:
        each = [part.posterior(np.atleast_2d(X)) for part in self.parts]
        mean = self.share @ np.array([belief.mean for belief in each])
        covariance = np.zeros((len(mean), len(mean)))
        for share, belief in zip(self.share, each, strict=True):
            off = belief.mean - mean
            covariance += share * (belief.covariance + np.outer(off, off))
        return Posterior(mean, covariance)

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """In closed form, each run's weight in the averages taken out too."""
        share = np.array([part.left_out_density for part in self.parts])
        share = self.share[:, None] / np.exp(share)  # without the run's own vote
        share /= share.sum(axis=0)
        means = np.array([part.left_out_mean for part in self.parts])
        variances = np.array([part.left_out_variance for part in self.parts])
        mean = (share * means).sum(axis=0)
        variance = (share * (variances + (means - mean) ** 2)).sum(axis=0)
        return mean, np.sqrt(variance)

    def highest(
        self, space: MixtureSpace, also: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """Exact where the belief is one quadratic of raw weights with few enough faces."""
        means = [part.mean for part in self.parts]
        if len(means) == 1 and means[0].power == 1.0 and has_few_faces(space):
            return maximise(means[0], space).weights
        starts = np.vstack([space.project(also), space.sample(STARTS, rng), space.uniform[None]])
        return climb(Blend(means, self.share), space, starts).weights

    def maxima(
        self, space: MixtureSpace, n: int, also: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """Exact draws; their maxima exact where that is quick, else one climb each."""
        starts = np.vstack([space.project(also), space.sample(STARTS, rng), space.uniform[None]])
        is_quick = has_few_faces(space, FEW_FACES)
        found = []
        for i in rng.choice(len(self.parts), size=n, p=self.share):
            drawn = self.parts[i].draw(rng)
            is_exact = is_quick and drawn.power == 1.0
            best = maximise(drawn, space) if is_exact else climb(drawn, space, starts, 1)
            found.append(best.weights)
        return np.array(found).reshape(-1, space.m)


@dataclass(frozen=True, eq=False)
class _Part:
    """The belief about a quadratic in `z = w ** power`, averaged over G settings.

    Scores and features are standardised inside: `(score - centre) / scale`, features less
    `feature_centre` over `feature_scale` (p,).

    Attributes:
        weight: (G,) of each setting.
        means, covariances: (G, p) and (G, p, p) of the coefficients under each.
        noise: (G,) standard deviation of a run around the quadratic.
        left_out_mean, left_out_variance, left_out_density: (n,) of each run without itself; log.
    """

    m: int
    power: float
    centre: float
    scale: float
    feature_centre: FloatArray
    feature_scale: FloatArray
    weight: FloatArray
    means: FloatArray
    covariances: FloatArray
    noise: FloatArray
    left_out_mean: FloatArray
    left_out_variance: FloatArray
    left_out_density: FloatArray

    @classmethod
    def fitted(cls, runs: Runs, power: float, close: tuple[FloatArray, float] | None) -> _Part:
        m = runs.m
        centre, scale = centre_and_scale(runs)
        y = (runs.score - centre) / scale
        # 1. Features such that linear and pair terms each vary by 1 in all over the runs.
        F = _features(runs.weights, power)
        kinds = np.repeat([0, 1, 2], [1, m, F.shape[1] - 1 - m])
        feature_centre = np.where(kinds == 0, 0.0, F.mean(axis=0))
        spread = _spread(F, feature_centre, kinds)
        if close is not None:
            others = _features(close[0], power)
            spread = np.maximum(spread, close[1] * _spread(others, others.mean(axis=0), kinds))
        feature_scale = np.maximum(spread, 1e-6)[kinds]
        F = (F - feature_centre) / feature_scale
        # 2. What each setting makes of the runs.
        settings = np.array(list(product(LINEAR, PAIRS, NOISE)))
        levels = np.column_stack([np.full(len(settings), LEVEL), settings[:, :2]])
        prior = levels[:, kinds] ** 2
        noise = settings[:, 2:] ** 2 + _sampling_variance(runs) / scale**2
        log_likelihood, pull, precision = regression.evidence(F, y, prior, noise)
        # 3. How well each explains the runs: log marginal likelihood and prior.
        off = np.log(settings / TYPICAL)
        log_weight = log_likelihood - 0.5 * (off**2).sum(axis=1)
        log_weight -= logsumexp(log_weight)
        # 4. Leaving a run out of a setting (Rasmussen and Williams, 2006, eq. 5.12), and out of the
        # weights of the settings: p(y_i | y_-i) is the harmonic mean of the settings' densities.
        variance = 1 / precision
        mean = y - pull * variance
        density = gaussian.log_density(y, mean, variance)
        without = log_weight[:, None] - density
        evidence = logsumexp(without, axis=0)
        without = np.exp(without - evidence)
        left_out = (without * mean).sum(axis=0)
        left_out_variance = (without * (variance + (mean - left_out) ** 2)).sum(axis=0)
        # 5. The coefficients, where a setting counts.
        weight = np.exp(log_weight)
        kept = np.flatnonzero(weight >= min(NEGLIGIBLE, float(weight.max())))
        each = [regression.coefficients(F, y, prior[g], noise[g]) for g in kept]
        return cls(
            m,
            power,
            centre,
            scale,
            feature_centre,
            feature_scale,
            weight[kept] / weight[kept].sum(),
            np.array([mean for mean, _ in each]),
            np.array([covariance for _, covariance in each]),
            settings[kept, 2],
            centre + scale * left_out,
            scale**2 * left_out_variance,
            -evidence - np.log(scale),
        )

    @property
    def log_density(self) -> float:
        """Sum of the left-out runs' log densities."""
        return float(self.left_out_density.sum())

    @property
    def noise_variance(self) -> float:
        return float(self.scale**2 * (self.weight @ self.noise**2))

    def _scaled(self, X: FloatArray) -> FloatArray:
        return (_features(X, self.power) - self.feature_centre) / self.feature_scale

    @cached_property
    def _coefficients(self) -> tuple[FloatArray, FloatArray]:
        """Mean (p,) and covariance (p, p) of the standardised coefficients, over all settings."""
        mean = self.weight @ self.means
        off = self.means - mean
        covariance = np.einsum("g,gij->ij", self.weight, self.covariances)
        return mean, covariance + (self.weight[:, None] * off).T @ off

    def predict(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance (k,) of the noise-free objective."""
        mean, covariance = self._coefficients
        F = self._scaled(X)
        variance = ((F @ covariance) * F).sum(axis=1)
        return self.centre + self.scale * (F @ mean), self.scale**2 * np.maximum(variance, 0)

    def posterior(self, X: FloatArray) -> Posterior:
        mean, covariance = self._coefficients
        F = self._scaled(X)
        return Posterior(
            self.centre + self.scale * (F @ mean), self.scale**2 * (F @ covariance @ F.T)
        )

    @property
    def mean(self) -> Quadratic:
        return self._quadratic(self._coefficients[0])

    def draw(self, rng: np.random.Generator) -> Quadratic:
        """One quadratic from the belief: a setting by its weight, then coefficients given it."""
        g = int(rng.choice(len(self.weight), p=self.weight))
        return self._quadratic(self.means[g] + self._root(g) @ rng.normal(size=self.means.shape[1]))

    def _root(self, g: int) -> FloatArray:
        """A (p, p) square root of a setting's covariance, which need not be of full rank."""
        if g not in self._roots:
            values, vectors = np.linalg.eigh(self.covariances[g])
            self._roots[g] = vectors * np.sqrt(np.clip(values, 0, None))
        return self._roots[g]

    @cached_property
    def _roots(self) -> dict[int, FloatArray]:
        return {}

    def _quadratic(self, coefficients: FloatArray) -> Quadratic:
        """In the units of the scores, from standardised coefficients (p,)."""
        raw = self.scale * coefficients / self.feature_scale
        m = self.m
        curvature = np.zeros((m, m))
        curvature[np.triu_indices(m, 1)] = raw[1 + m :]
        constant = self.centre + raw[0] - raw[1:] @ self.feature_centre[1:]
        return Quadratic(float(constant), raw[1 : 1 + m], curvature + curvature.T, self.power)


def _features(X: FloatArray, power: float) -> FloatArray:
    """(n, 1 + m + m(m-1)/2): 1, z, and the products of two different z."""
    Z = X if power == 1.0 else X**power
    i, j = np.triu_indices(X.shape[1], 1)
    return np.hstack([np.ones((len(X), 1)), Z, Z[:, i] * Z[:, j]])


def _spread(F: FloatArray, centre: FloatArray, kinds: NDArray[np.intp]) -> FloatArray:
    """(3,) root mean square distance of features (n, p) from their centre (p,), kind by kind."""
    squares = [((F - centre)[:, kinds == k] ** 2).sum(axis=1).mean() for k in range(3)]
    spread: FloatArray = np.sqrt(np.array(squares))
    return spread


def _sampling_variance(runs: Runs) -> FloatArray:
    """(n,) known sampling variances; runs whose error is unknown are as exact as the usual one."""
    known = np.isfinite(runs.noise_sd)
    usual = float(np.median(runs.noise_sd[known])) if known.any() else 0.0
    return np.where(known, runs.noise_sd, usual) ** 2
