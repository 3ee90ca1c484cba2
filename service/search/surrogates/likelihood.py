"""The likelihood of a quadratic's coefficients under rows of scores, in a form that adds up.

Given its settings, each channel's log density of its scores is a quadratic form in the target's
coefficients `beta`: what is the channel's own has been integrated out. A row whose training run the
target has a row of, too, shares some of that row's training noise; it is taken less so much of the
target's score that the rest is independent of it, so that channels still add up. Rows of one run in
several channels count as so many as equally correlated ones do: their densities are taken to a
power below 1 (a composite likelihood), for their joint one would tie the channels to each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.search.runs import ALONE
from service.search.space import FloatArray

SHARED = 0.85
"""Correlation of the training noise of two channels' rows of one run. On the offline world that of
a score with the last one is 0.75 at a quarter of the steps, 0.88 at half, 0.96 at three quarters.
"""
LOG_2_PI = float(np.log(2 * np.pi))


@dataclass(frozen=True, eq=False)
class Rows:
    """n rows of one channel in standard units.

    Attributes:
        X: (n, m) mixtures.
        F: (n, p) their features, the first one the constant.
        y: (n,) scores.
        sampling: (n,) sampling variances.
        pair: (n,) the target's row of the same training run; `ALONE` for none.
        dropped: (n,) squared length of what `F` leaves out of the features.
        counts: (n,) how many independent rows each counts as, 1 at most.
    """

    X: FloatArray
    F: FloatArray
    y: FloatArray
    sampling: FloatArray
    pair: NDArray[np.intp]
    dropped: FloatArray
    counts: FloatArray

    @property
    def has_pairs(self) -> bool:
        return bool(np.any(self.pair != ALONE))

    def subset(self, mask: NDArray[np.bool_]) -> Rows:
        """The rows where `mask` (n,) is true."""
        return Rows(*(values[mask] for values in vars(self).values()))


@dataclass(frozen=True, eq=False)
class Settings:
    """G joint settings of what is averaged over.

    Attributes:
        scales: (G, 2) prior standard deviations of linear and pair terms.
        noise: (G,) standard deviation of the target's training noise.
        channels: of each channel (G, 3): rho, amplitude, standard deviation of its training noise.
    """

    scales: FloatArray
    noise: FloatArray
    channels: list[FloatArray]

    def __getitem__(self, chosen: NDArray[np.intp]) -> Settings:
        return Settings(
            self.scales[chosen], self.noise[chosen], [one[chosen] for one in self.channels]
        )

    def joined(self, channel: FloatArray) -> Settings:
        """With those (G, 3) of one more channel."""
        return Settings(self.scales, self.noise, [*self.channels, channel])


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The log likelihood `l - s / 2 + h . beta - beta' J beta / 2` under G settings.

    Attributes:
        J, h: (G, p, p), (G, p).
        s: (G,) what is left of the scores' squares where `beta` is 0.
        l: (G,) the density's normalising constant.
    """

    J: FloatArray
    h: FloatArray
    s: FloatArray
    l: FloatArray  # noqa: E741 - the formula's

    def __add__(self, other: Likelihood) -> Likelihood:
        return Likelihood(self.J + other.J, self.h + other.h, self.s + other.s, self.l + other.l)

    def __getitem__(self, g: int) -> Likelihood:
        """Of one setting, to be added to those of many."""
        return Likelihood(self.J[g], self.h[g], self.s[g], self.l[g])

    def evidence(self, prior: FloatArray) -> FloatArray:
        """(G,) log marginal likelihoods, for prior variances (G, p) of the coefficients."""
        # Scaled by the prior, what no score informs is the identity. With A = 1 + sqrt(prior) J
        # sqrt(prior) and h alike, one Cholesky factor of [[A, h], [h', 1 + s]] has all: the product
        # of its diagonal but for the last is sqrt(|A|), the last squared 1 + s - h' A^-1 h. That is
        # above 1, for s less the rest is a sum of squares.
        root = np.sqrt(prior)
        G, p = prior.shape
        A = np.empty((G, p + 1, p + 1))
        np.multiply(self.J, root[:, :, None], out=A[:, :p, :p])
        A[:, :p, :p] *= root[:, None, :]
        A[:, range(p), range(p)] += 1
        A[:, p, :p] = A[:, :p, p] = root * self.h
        A[:, p, p] = 1 + self.s
        diagonal = np.diagonal(np.linalg.cholesky(A), axis1=1, axis2=2)
        evidence: FloatArray = (
            self.l - 0.5 * (diagonal[:, p] ** 2 - 1) - np.log(diagonal[:, :p]).sum(axis=1)
        )
        return evidence


def of_target(settings: Settings, rows: Rows) -> Likelihood:
    """Of the target's own rows."""
    noise, which = np.unique(settings.noise, return_inverse=True)
    weight = 1 / (noise[:, None] ** 2 + rows.sampling)
    J = np.einsum("np,gn,nq->gpq", rows.F, weight, rows.F, optimize=True)
    h = (weight * rows.y) @ rows.F
    log_2_pi = len(rows.y) * LOG_2_PI
    l = 0.5 * (np.log(weight).sum(axis=1) - log_2_pi)  # noqa: E741
    return Likelihood(J[which], h[which], (weight @ rows.y**2)[which], l[which])


def of_channel(
    prior: FloatArray, settings: Settings, c: int, target: Rows, rows: Rows
) -> Likelihood:
    """Of the rows of channel `c`, its own share of the coefficients integrated out.

    With `W` the precisions of rows, `k` their shares of the target's score, `X = F L - k F` what
    `beta` is multiplied by and `G` the prior covariance of the channel's own share, the density is
    that of `y ~ N(X beta, 1/W + F G F')` (Woodbury).

    Args:
        prior: (G, p) variances of the coefficients.
        target: whose rows `rows.pair` counts.
    """
    L, B, T, M0, M1, M2, b0, b1, s0, l0 = _solved(prior, settings, c, target, rows)
    FWX = M0 * L[:, None, :] - M1
    XWX = L[:, :, None] * FWX - M1 * L[:, None, :] + M2
    Tb = (T @ b0[:, :, None])[:, :, 0]
    return Likelihood(
        XWX - np.swapaxes(FWX, 1, 2) @ T @ FWX,
        L * b0 - b1 - (np.swapaxes(FWX, 1, 2) @ Tb[:, :, None])[:, :, 0],
        s0 - (b0 * Tb).sum(axis=1),
        l0 - 0.5 * np.linalg.slogdet(B)[1],
    )


def given_target(
    prior: FloatArray, settings: Settings, c: int, target: Rows, rows: Rows
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The channel's coefficients after its rows, for known ones of the target.

    Returns:
        `A` (G, p, p), `b` (G, p) and `T` (G, p, p) of `beta_c ~ N(A beta + b, T)`: the share of the
        target's, and of its own what `y - X beta` says (see `of_channel`).
    """
    L, _, T, M0, M1, _, b0, *_ = _solved(prior, settings, c, target, rows)
    A = L[:, :, None] * np.eye(L.shape[1]) - T @ (M0 * L[:, None, :] - M1)
    return A, (T @ b0[:, :, None])[:, :, 0], T


def _solved(
    prior: FloatArray, settings: Settings, c: int, target: Rows, rows: Rows
) -> tuple[FloatArray, ...]:
    """`L` (G, p), `B` and `T = (1/G + F'WF)^-1` (G, p, p), and the moments of `_moments`."""
    rho, amplitude, noise = settings.channels[c].T
    levels = np.column_stack([settings.noise * rows.has_pairs, noise])
    levels, which = np.unique(levels, axis=0, return_inverse=True)
    each = [_moments(rows, target, float(of_target), float(own)) for of_target, own in levels]
    moments = tuple(np.array([one[i] for one in each])[which.reshape(-1)] for i in range(7))
    # The constant (column 0) is the channel's own altogether.
    is_term = np.arange(prior.shape[1]) > 0
    L = np.where(is_term, (amplitude * rho)[:, None], 0.0)
    own_share = np.where(is_term, (amplitude**2 * (1 - rho**2))[:, None], 1.0)
    root = np.sqrt(prior * own_share)
    # T = G^(1/2) (1 + G^(1/2) F'WF G^(1/2))^-1 G^(1/2)
    B = root[:, :, None] * moments[0] * root[:, None, :] + np.eye(prior.shape[1])
    T = root[:, :, None] * np.linalg.inv(B) * root[:, None, :]
    return L, B, T, *moments


def counts_of(n_channels: NDArray[np.intp], is_paired: NDArray[np.bool_]) -> FloatArray:
    """How many independent rows each of a run's rows in so many channels (n,) counts as; less of
    their noise is shared where what the target's row tells is taken off."""
    left = SHARED * (1 - SHARED) / (1 - SHARED**2)
    counts: FloatArray = 1 / (1 + (n_channels - 1) * np.where(is_paired, left, SHARED))
    return counts


def _moments(
    rows: Rows, target: Rows, of_target: float, own: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, float, float]:
    """`F'WF`, `F'WkF`, `F'Wk^2F`, `F'Wy`, `F'Wky`, `y'Wy`, and the constant of `N(0, 1/W)`."""
    variance = own**2 + rows.sampling
    k, y = np.zeros(len(rows.y)), rows.y.copy()
    paired = rows.pair != ALONE
    if paired.any():
        pair = rows.pair[paired]
        shared = SHARED * of_target * own
        k[paired] = shared / (of_target**2 + target.sampling[pair])
        variance[paired] -= k[paired] * shared
        y[paired] -= k[paired] * target.y[pair]
    W = rows.counts / variance
    FW = rows.F.T * W
    M1 = (FW * k) @ rows.F
    M2 = (FW * k**2) @ rows.F
    s0 = float((W * y**2).sum())
    l0 = -0.5 * float((rows.counts * (np.log(variance) + LOG_2_PI)).sum())
    return FW @ rows.F, M1, M2, FW @ y, (FW * k) @ y, s0, l0
