"""What runs make of a quadratic's coefficients under many settings, each by its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from service.search import gaussian
from service.search.runs import Runs
from service.search.similarity import TRUSTS, Similarity, prior_weights
from service.search.space import FloatArray
from service.search.surrogates import regression
from service.search.surrogates.channel_settings import standing_for_all
from service.search.surrogates.part import NEGLIGIBLE, Part, Scaling, sampling_variance
from service.search.surrogates.regression import Covariances

BY_RUNS_TO = 64
"""Runs up to which settings by the thousand are gone through at once."""
MOST_STATES, FEWEST_STATES = 400, 40
MOST_NUMBERS = 20_000_000
"""Settings that stand for all where domains are said to be alike: fewer, where there are so many
domains that the covariances of that many would have more numbers than this."""


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


class _Weighed(NamedTuple):
    """Features (n, p) and standardised scores (n,) of the runs, prior variances (G, p) and noise
    variances (G, n) of the settings, and the weights of these, (G,) or with trusts (k G,), each
    with what it makes of the scores, (…, n) `K^-1 y`."""

    F: FloatArray
    y: FloatArray
    prior: FloatArray
    noise: FloatArray
    weight: FloatArray
    pull: FloatArray


class Kept(NamedTuple):
    """Settings that predictions are made of.

    Attributes:
        share: (K,) of the belief.
        noise: (K,) standard deviation of a run around the quadratic.
        means, covariances: (K, p), and the other K, of the coefficients.
    """

    share: FloatArray
    noise: FloatArray
    means: FloatArray
    covariances: Covariances


def averaged_over(
    grid: Grid,
    scaling: Scaling,
    X: FloatArray,
    runs: Runs,
    similarity: Similarity | None = None,
) -> Averaged:
    """From the scores of runs at X, in the form that `scaling` takes.

    With a similarity of domains the settings are gone through with one trust in it, then with the
    next.
    """
    y = (runs.score - scaling.centre) / scaling.scale
    F = scaling.features(X)
    # 1. What each setting makes of the runs.
    prior = scaling.prior(grid.scales)
    noise = grid.noise[:, None] ** 2 + sampling_variance(runs) / scaling.scale**2
    log_prior = grid.log_prior
    if similarity is None:
        told = [regression.evidence(F, y, prior, noise)]
    else:
        roots = map(similarity.root, TRUSTS)
        told = [regression.evidence(F @ R, y, prior, noise, BY_RUNS_TO) for R in roots]
        log_prior = (np.log(prior_weights())[:, None] + log_prior).ravel()
    log_likelihood, pull, precision = (np.concatenate(each) for each in zip(*told, strict=True))
    # 2. How well each explains the runs: log marginal likelihood and prior.
    log_weight = log_likelihood + log_prior
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
    weighed = _Weighed(F, y, prior, noise, weight, pull)
    trust = None
    if similarity is None:
        kept = _likeliest(grid, weighed)
    else:
        trust = weight.reshape(len(TRUSTS), -1).sum(axis=1)
        kept = _standing_for_all(grid, weighed, similarity)
    part = Part(
        scaling,
        kept.share,
        kept.means,
        kept.covariances,
        kept.noise,
        scaling.centre + scaling.scale * left_out,
        scaling.scale**2 * left_out_variance,
        -evidence - np.log(scaling.scale),
        trust=trust,
    )
    return Averaged(part, weight)


def _likeliest(grid: Grid, told: _Weighed) -> Kept:
    """The settings whose weight counts."""
    F, y, prior, noise, weight, pull = told
    kept = np.flatnonzero(weight >= min(grid.least, float(weight.max())))
    if grid.most is not None and len(kept) > grid.most:
        kept = np.sort(kept[np.argsort(-weight[kept], kind="stable")[: grid.most]])
    share = weight[kept] / weight[kept].sum()
    if len(F) <= F.shape[1]:
        means = prior[kept] * (pull[kept] @ F)
        covariances = regression.ByRuns(F, prior[kept], noise[kept])
        return Kept(share, grid.noise[kept], means, covariances)
    each = [regression.coefficients(F, y, prior[g], noise[g]) for g in kept]
    return Kept(share, grid.noise[kept], *_stored(each))


def _standing_for_all(grid: Grid, told: _Weighed, similarity: Similarity) -> Kept:
    """As many settings, each with a trust, as there is room for: each as often as its weight has
    it."""
    F, y, prior, noise, weight, _ = told
    n_states = int(np.clip(MOST_NUMBERS // F.shape[1] ** 2, FEWEST_STATES, MOST_STATES))
    chosen, counts = np.unique(standing_for_all(weight, n_states), return_counts=True)
    trusted, kept = np.divmod(chosen, len(grid.noise))
    correlations = [similarity.correlation(t) for t in TRUSTS]
    each = [
        regression.correlated_coefficients(
            F, y, correlations[t] * np.sqrt(np.outer(prior[g], prior[g])), noise[g]
        )
        for t, g in zip(trusted, kept, strict=True)
    ]
    return Kept(counts / n_states, grid.noise[kept], *_stored(each))


def _stored(each: Sequence[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, Covariances]:
    """Means (K, p) and covariances of the coefficients, from those of each setting."""
    means = np.array([mean for mean, _ in each])
    return means, regression.Stored(np.array([covariance for _, covariance in each]))
