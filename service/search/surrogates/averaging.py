"""What runs make of a quadratic's coefficients under many settings, each by its evidence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from service.search import gaussian
from service.search.runs import Runs
from service.search.space import FloatArray
from service.search.surrogates import regression
from service.search.surrogates.part import NEGLIGIBLE, Part, Scaling, sampling_variance


class Grid(NamedTuple):
    """G settings that are averaged over.

    Attributes:
        scales: (G, k) prior standard deviations of each kind of terms, as `Scaling.prior` has them.
        noise: (G,) standard deviation of a run around the quadratic.
        log_prior: (G,) up to a constant.
        least: settings with less weight than this are left out of predictions.
        most: as many are kept there, at most.
    """

    scales: FloatArray
    noise: FloatArray
    log_prior: FloatArray
    least: float = NEGLIGIBLE
    most: int | None = None


class Averaged(NamedTuple):
    """A belief, and the weights (G,) of all settings."""

    part: Part
    weight: FloatArray


def averaged_over(grid: Grid, scaling: Scaling, X: FloatArray, runs: Runs) -> Averaged:
    """From the scores of runs at X, in the form that `scaling` takes."""
    y = (runs.score - scaling.centre) / scaling.scale
    F = scaling.features(X)
    # 1. What each setting makes of the runs.
    prior = scaling.prior(grid.scales)
    noise = grid.noise[:, None] ** 2 + sampling_variance(runs) / scaling.scale**2
    log_likelihood, pull, precision = regression.evidence(F, y, prior, noise)
    # 2. How well each explains the runs: log marginal likelihood and prior.
    log_weight = log_likelihood + grid.log_prior
    log_weight -= logsumexp(log_weight)
    # 3. Leaving a run out of a setting (Rasmussen and Williams, 2006, eq. 5.12), and out of the
    # weights of the settings: p(y_i | y_-i) is the harmonic mean of the settings' densities.
    variance = 1 / precision
    mean = y - pull * variance
    density = gaussian.log_density(y, mean, variance)
    without = log_weight[:, None] - density
    evidence = logsumexp(without, axis=0)
    without = np.exp(without - evidence)
    left_out = (without * mean).sum(axis=0)
    left_out_variance = (without * (variance + (mean - left_out) ** 2)).sum(axis=0)
    # 4. The coefficients, where a setting counts.
    weight = np.exp(log_weight)
    kept = np.flatnonzero(weight >= min(grid.least, float(weight.max())))
    if grid.most is not None and len(kept) > grid.most:
        kept = np.sort(kept[np.argsort(-weight[kept], kind="stable")[: grid.most]])
    each = [regression.coefficients(F, y, prior[g], noise[g]) for g in kept]
    part = Part(
        scaling,
        weight[kept] / weight[kept].sum(),
        np.array([mean for mean, _ in each]),
        np.array([covariance for _, covariance in each]),
        grid.noise[kept],
        scaling.centre + scaling.scale * left_out,
        scaling.scale**2 * left_out_variance,
        -evidence - np.log(scaling.scale),
    )
    return Averaged(part, weight)
