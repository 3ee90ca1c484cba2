"""Bayesian linear regression under many priors at once, in whichever space is smaller.

`y = F b + e` with `b ~ N(0, diag(prior))` and `e ~ N(0, diag(noise))`, so that `y ~ N(0, K)` with
`K = F diag(prior) F' + diag(noise)`. With more runs than features everything is done with the
posterior precision `A = F' diag(1/noise) F + diag(1/prior)`: K is never made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.search.space import FloatArray

MOST_NUMBERS = 1_000_000
"""In one array of the settings that are gone through at once."""


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


class Covariances(Protocol):
    """Posterior covariances (p, p) of the coefficients under G settings."""

    def of(self, setting: int) -> FloatArray:
        """Under one of them."""
        ...

    def averaged(self, weight: FloatArray) -> FloatArray:
        """Their mean by the settings' weights (G,)."""
        ...


@dataclass(frozen=True, eq=False)
class Stored:
    """As they are, (G, p, p)."""

    each: FloatArray

    def of(self, setting: int) -> FloatArray:
        found: FloatArray = self.each[setting]
        return found

    def averaged(self, weight: FloatArray) -> FloatArray:
        found: FloatArray = np.einsum("g,gij->ij", weight, self.each)
        return found


@dataclass(frozen=True, eq=False)
class ByRuns:
    """Made of no more runs than there are features when they are asked for: those of all settings
    would be gigabytes where there are many domains.

    Attributes:
        F, prior, noise: as in `evidence`.
    """

    F: FloatArray
    prior: FloatArray
    noise: FloatArray

    def of(self, setting: int) -> FloatArray:
        no_scores = np.zeros(len(self.F))  # covariances do not depend on them
        return coefficients(self.F, no_scores, self.prior[setting], self.noise[setting])[1]

    def averaged(self, weight: FloatArray) -> FloatArray:
        # Of features of kinds k and l with prior variances a and b: of F_k' (a b K^-1) F_l only
        # what is in brackets depends on the setting.
        inverse = np.linalg.inv(_covariance_of_scores(self.F, self.prior, self.noise))
        found = np.diag(weight @ self.prior)
        kinds = _kinds(self.prior)
        for k, rows in enumerate(kinds):
            for columns in kinds[k:]:
                shared = weight * self.prior[:, rows[0]] * self.prior[:, columns[0]]
                between = np.einsum("g,gij->ij", shared, inverse)
                block = self.F[:, rows].T @ between @ self.F[:, columns]
                found[np.ix_(rows, columns)] -= block
                if rows is not columns:
                    found[np.ix_(columns, rows)] -= block.T
        return (found + found.T) / 2


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
    K = _covariance_of_scores(F, prior, noise)
    inverse = np.linalg.inv(K)
    return np.linalg.slogdet(K)[1], inverse @ y, np.diagonal(inverse, axis1=1, axis2=2)


def _covariance_of_scores(F: FloatArray, prior: FloatArray, noise: FloatArray) -> FloatArray:
    """(G, n, n) `K` of each setting."""
    K = np.zeros((len(prior), len(F), len(F)))
    for members in _kinds(prior):
        K += prior[:, members[0], None, None] * (F[:, members] @ F[:, members].T)
    diagonal = np.arange(len(F))
    K[:, diagonal, diagonal] += noise
    return K


def _kinds(prior: FloatArray) -> list[NDArray[np.intp]]:
    """Features that share their prior in every setting, and so a Gram matrix."""
    _, kinds = np.unique(prior.T, axis=0, return_inverse=True)
    return [np.flatnonzero(kinds.reshape(-1) == kind) for kind in range(int(kinds.max()) + 1)]


def _by_features(
    F: FloatArray, y: FloatArray, prior: FloatArray, noise: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    log_det, pull, precision = np.empty(len(prior)), np.empty(noise.shape), np.empty(noise.shape)
    levels, level = np.unique(noise, axis=0, return_inverse=True)
    for i, error in enumerate(levels):
        weighted = F / error[:, None]
        told, sums = F.T @ weighted, weighted.T @ y
        settings = np.flatnonzero(level.reshape(-1) == i)
        for some in np.array_split(settings, 1 + len(settings) * F.size // MOST_NUMBERS):
            variance = prior[some]
            A = told + (1 / variance)[:, :, None] * np.eye(F.shape[1])
            inverse = np.linalg.inv(A)
            grown = np.linalg.slogdet(A)[1] + np.log(variance).sum(axis=1)
            log_det[some] = grown + np.log(error).sum()
            pull[some] = (y - (inverse @ sums) @ F.T) / error
            precision[some] = 1 / error - ((weighted @ inverse) * weighted).sum(axis=2)
    return log_det, pull, precision
