"""Bayesian linear regression under many priors at once, in whichever space is smaller.

`y = F b + e` with `b ~ N(0, diag(prior))` and `e ~ N(0, diag(noise))`, so that `y ~ N(0, K)` with
`K = F diag(prior) F' + diag(noise)`. With more runs than features everything is done with the
posterior precision `A = F' diag(1/noise) F + diag(1/prior)`: K is never made.
"""

from __future__ import annotations

import numpy as np

from service.search.space import FloatArray


def evidence(
    F: FloatArray,
    y: FloatArray,
    prior: FloatArray,
    noise: FloatArray,
    by_runs_to: int | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What leave-one-out and model averaging need, for G settings.

    Args:
        F: (n, p) features.
        y: (n,) scores.
        prior: (G, p) prior variances of the coefficients.
        noise: (G, n) noise variances of the scores.
        by_runs_to: n up to which it is done with `K`; unless said, as many as there are features.

    Returns:
        (G,) log marginal likelihoods, (G, n) `K^-1 y`, (G, n) the diagonal of `K^-1`.
    """
    n, p = F.shape
    if n <= (p if by_runs_to is None else max(p, by_runs_to)):
        log_det, pull, precision = _by_runs(F, y, prior, noise)
    else:
        log_det, pull, precision = _by_features(F, y, prior, noise)
    return -0.5 * (log_det + pull @ y + n * np.log(2 * np.pi)), pull, precision


def coefficients(
    F: FloatArray, y: FloatArray, prior: FloatArray, noise: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Posterior mean (p,) and covariance (p, p) of the coefficients, for one setting."""
    n, p = F.shape
    if n <= p:
        gain = (prior[:, None] * F.T) @ np.linalg.inv((F * prior) @ F.T + np.diag(noise))
        left = np.diag(prior) - (gain @ F) * prior
        return gain @ y, (left + left.T) / 2
    covariance = np.asarray(np.linalg.inv((F.T / noise) @ F + np.diag(1 / prior)), dtype=float)
    return covariance @ ((F.T / noise) @ y), covariance


def correlated_coefficients(
    F: FloatArray, y: FloatArray, prior: FloatArray, noise: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The same for a prior covariance (p, p), which need not be of full rank."""
    n, p = F.shape
    if n <= p:
        shared = F @ prior
        gain = np.linalg.solve(shared @ F.T + np.diag(noise), shared).T
        left, mean = prior - gain @ shared, gain @ y
    else:
        left = prior @ np.linalg.inv(np.eye(p) + ((F.T / noise) @ F) @ prior)
        mean = left @ ((F.T / noise) @ y)
    return mean, (left + left.T) / 2


def _by_runs(
    F: FloatArray, y: FloatArray, prior: FloatArray, noise: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    # Features that share their prior in every setting share a Gram matrix.
    _, kinds = np.unique(prior.T, axis=0, return_inverse=True)
    K = np.zeros((len(prior), len(F), len(F)))
    for kind in range(int(kinds.max()) + 1):
        members = np.flatnonzero(kinds.reshape(-1) == kind)
        K += prior[:, members[0], None, None] * (F[:, members] @ F[:, members].T)
    diagonal = np.arange(len(F))
    K[:, diagonal, diagonal] += noise
    inverse = np.linalg.inv(K)
    return np.linalg.slogdet(K)[1], inverse @ y, np.diagonal(inverse, axis1=1, axis2=2)


def _by_features(
    F: FloatArray, y: FloatArray, prior: FloatArray, noise: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    log_det, pull, precision = np.empty(len(prior)), np.empty(noise.shape), np.empty(noise.shape)
    for g, (variance, error) in enumerate(zip(prior, noise, strict=True)):
        weighted = F / error[:, None]
        A = F.T @ weighted + np.diag(1 / variance)
        inverse = np.linalg.inv(A)
        log_det[g] = np.linalg.slogdet(A)[1] + np.log(variance).sum() + np.log(error).sum()
        pull[g] = (y - F @ (inverse @ (weighted.T @ y))) / error
        precision[g] = 1 / error - ((weighted @ inverse) * weighted).sum(axis=1)
    return log_det, pull, precision
