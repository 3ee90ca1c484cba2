"""One quadratic in a power of the weights: its scales, the settings averaged over, the belief."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from service.search.quadratics import Phased, Quadratic
from service.search.runs import Runs
from service.search.similarity import TRUSTS
from service.search.space import FloatArray
from service.search.surrogates.carried import Carried
from service.search.surrogates.protocol import Joint, Posterior
from service.search.surrogates.regression import Covariances
from service.search.surrogates.standard import centre_and_scale

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


@dataclass(frozen=True, eq=False)
class Scaling:
    """Units: `(score - centre) / scale` and `(feature - feature_centre) / feature_scale`.

    Linear and pair terms each vary by 1 in all over the runs.

    Attributes:
        feature_centre, feature_scale: (p,).
        root: (p, p) what features are multiplied by, so that coefficients which a similarity of
            domains correlates are independent beforehand; None where they are so as they are.
    """

    m: int
    power: float
    centre: float
    scale: float
    feature_centre: FloatArray
    feature_scale: FloatArray
    root: FloatArray | None = None

    @classmethod
    def of(cls, runs: Runs, power: float, close: tuple[FloatArray, FloatArray] | None) -> Scaling:
        centre, scale = centre_and_scale(runs)
        F = features_of(runs.weights, power)
        kinds = _kinds(runs.m)
        feature_centre = np.where(kinds == 0, 0.0, F.mean(axis=0))
        spread = _spread(F, feature_centre, kinds)
        if close is not None:
            others = features_of(close[0], power)
            spread = np.maximum(spread, close[1] * _spread(others, others.mean(axis=0), kinds))
        return cls(runs.m, power, centre, scale, feature_centre, np.maximum(spread, 1e-6)[kinds])

    @property
    def kinds(self) -> NDArray[np.intp]:
        """(p,) 0 for the constant, 1 for linear terms, 2 for pairs."""
        return _kinds(self.m)

    def features(self, X: FloatArray) -> FloatArray:
        """(n, p) of mixtures (n, m)."""
        F = (features_of(X, self.power) - self.feature_centre) / self.feature_scale
        return F if self.root is None else F @ self.root

    def spread(self, F: FloatArray) -> float:
        """How widely features (n, p) vary, where the target's vary by about 1."""
        kinds = self.kinds
        return float(np.sqrt((_spread(F, F.mean(axis=0), kinds)[1:] ** 2).mean()))

    def prior(self, settings: FloatArray) -> FloatArray:
        """(G, p) variances of the coefficients for standard deviations (G, 2) of their kinds."""
        levels = np.column_stack([np.full(len(settings), LEVEL), settings])
        return levels[:, self.kinds] ** 2

    def quadratic(self, coefficients: FloatArray) -> Quadratic | Phased:
        """In the units of the scores, from standardised coefficients (p,)."""
        return self.of_mixtures(coefficients)

    def of_mixtures(self, coefficients: FloatArray) -> Quadratic:
        """That of the constant, linear and pair terms."""
        if self.root is not None:
            coefficients = self.root @ coefficients
        raw = self.scale * coefficients / self.feature_scale
        curvature = np.zeros((self.m, self.m))
        curvature[np.triu_indices(self.m, 1)] = raw[1 + self.m :]
        constant = self.centre + raw[0] - raw[1:] @ self.feature_centre[1:]
        slope = raw[1 : 1 + self.m]
        return Quadratic(float(constant), slope, curvature + curvature.T, self.power)


@dataclass(frozen=True, eq=False)
class Part:
    """The belief about a quadratic in `z = w ** power`, averaged over G settings.

    Attributes:
        scaling: what scores and features are standardised by inside.
        weight: (G,) of each setting.
        means, covariances: (G, p), and the other G, of the coefficients under each.
        noise: (G,) standard deviation of a run around the quadratic.
        left_out_mean, left_out_variance, left_out_density: (n,) of each run without itself; log.
        channels: how far each other channel's evidence carries over, by its name.
        trust: (k,) what is believed of each of `similarity.TRUSTS`; None without a similarity.
        joint: the belief about mixtures (k, m) in all channels; None where there are none.
    """

    scaling: Scaling
    weight: FloatArray
    means: FloatArray
    covariances: Covariances
    noise: FloatArray
    left_out_mean: FloatArray
    left_out_variance: FloatArray
    left_out_density: FloatArray
    channels: Mapping[str, Carried] = field(default_factory=dict)
    joint: Callable[[FloatArray], Joint] | None = None
    trust: FloatArray | None = None

    @property
    def power(self) -> float:
        return self.scaling.power

    @property
    def mean_trust(self) -> float:
        """In how alike domains are said to be; 0 where nothing is said."""
        return 0.0 if self.trust is None else float(self.trust @ TRUSTS)

    @property
    def log_density(self) -> float:
        """Sum of the left-out runs' log densities."""
        return float(self.left_out_density.sum())

    @property
    def noise_variance(self) -> float:
        return float(self.scaling.scale**2 * (self.weight @ self.noise**2))

    @cached_property
    def _coefficients(self) -> tuple[FloatArray, FloatArray]:
        """Mean (p,) and covariance (p, p) of the standardised coefficients, over all settings."""
        mean = self.weight @ self.means
        off = self.means - mean
        covariance = self.covariances.averaged(self.weight)
        return mean, covariance + (self.weight[:, None] * off).T @ off

    def predict(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance (k,) of the noise-free objective."""
        mean, covariance = self._coefficients
        F = self.scaling.features(X)
        variance = ((F @ covariance) * F).sum(axis=1)
        return self.scaling.centre + self.scaling.scale * (
            F @ mean
        ), self.scaling.scale**2 * np.maximum(variance, 0)

    def posterior(self, X: FloatArray) -> Posterior:
        mean, covariance = self._coefficients
        F = self.scaling.features(X)
        return Posterior(
            self.scaling.centre + self.scaling.scale * (F @ mean),
            self.scaling.scale**2 * (F @ covariance @ F.T),
        )

    @property
    def mean(self) -> Quadratic | Phased:
        return self.scaling.quadratic(self._coefficients[0])

    def draw(self, rng: np.random.Generator) -> Quadratic | Phased:
        """One quadratic from the belief: a setting by its weight, then coefficients given it."""
        g = int(rng.choice(len(self.weight), p=self.weight))
        return self.scaling.quadratic(
            self.means[g] + self._root(g) @ rng.normal(size=self.means.shape[1])
        )

    def draw_coefficients(self, g: int, n: int, rng: np.random.Generator) -> FloatArray:
        """(n, p) draws of the standardised coefficients under a setting."""
        p = self.means.shape[1]
        drawn: FloatArray = self.means[g] + rng.normal(size=(n, p)) @ self._root(g).T
        return drawn

    def _root(self, g: int) -> FloatArray:
        """A (p, p) square root of a setting's covariance, which need not be of full rank."""
        if g not in self._roots:
            values, vectors = np.linalg.eigh(self.covariances.of(g))
            self._roots[g] = vectors * np.sqrt(np.clip(values, 0, None))
        return self._roots[g]

    @cached_property
    def _roots(self) -> dict[int, FloatArray]:
        return {}


def _kinds(m: int) -> NDArray[np.intp]:
    return np.repeat([0, 1, 2], [1, m, m * (m - 1) // 2])


def features_of(X: FloatArray, power: float) -> FloatArray:
    """(n, 1 + m + m(m-1)/2): 1, z, and the products of two different z."""
    Z = X if power == 1.0 else X**power
    i, j = np.triu_indices(X.shape[1], 1)
    return np.hstack([np.ones((len(X), 1)), Z, Z[:, i] * Z[:, j]])


def _spread(F: FloatArray, centre: FloatArray, kinds: NDArray[np.intp]) -> FloatArray:
    """(3,) root mean square distance of features (n, p) from their centre (p,), kind by kind."""
    squares = [((F - centre)[:, kinds == k] ** 2).sum(axis=1).mean() for k in range(3)]
    spread: FloatArray = np.sqrt(np.array(squares))
    return spread


def sampling_variance(runs: Runs) -> FloatArray:
    """(n,) known sampling variances; runs whose error is unknown are as exact as the usual one."""
    known = np.isfinite(runs.noise_sd)
    usual = float(np.median(runs.noise_sd[known])) if known.any() else 0.0
    return np.where(known, runs.noise_sd, usual) ** 2
