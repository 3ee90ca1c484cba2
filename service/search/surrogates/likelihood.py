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
from typing import NamedTuple

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

    def __sub__(self, other: Likelihood) -> Likelihood:
        return Likelihood(self.J - other.J, self.h - other.h, self.s - other.s, self.l - other.l)

    def __getitem__(self, g: int) -> Likelihood:
        """Of one setting, to be added to those of many."""
        return Likelihood(self.J[g], self.h[g], self.s[g], self.l[g])

    def scaled(self, prior: FloatArray) -> Scaled:
        """Beside prior variances (G, p) of the coefficients."""
        root = np.sqrt(prior)
        G, p = prior.shape
        A = np.empty((G, p + 1, p + 1))
        np.multiply(self.J, root[:, :, None], out=A[:, :p, :p])
        A[:, :p, :p] *= root[:, None, :]
        A[:, p, :p] = A[:, :p, p] = root * self.h
        A[:, p, p] = self.s
        return Scaled(A, self.l)

    def evidence(self, prior: FloatArray) -> FloatArray:
        """(G,) log marginal likelihoods, for prior variances (G, p) of the coefficients."""
        return self.scaled(prior).evidence()

    def foreseen(self, prior: FloatArray, f: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(G, k) mean and variance of `f beta` for features f (k, p)."""
        precision = self.J + (1 / prior)[:, :, None] * np.eye(f.shape[1])
        along = np.linalg.solve(precision, np.broadcast_to(f.T, (len(prior), *f.T.shape)))
        return (self.h[:, None, :] @ along)[:, 0], np.einsum("kp,gpk->gk", f, along)


class Scaled(NamedTuple):
    """A likelihood under G settings whose coefficients are in units of their prior's.

    Attributes:
        A: (G, p + 1, p + 1) `[[J, h], [h', s]]`.
        l: (G,) as `Likelihood` has it.
    """

    A: FloatArray
    l: FloatArray  # noqa: E741 - the formula's

    def evidence(self) -> FloatArray:
        """(G,) log marginal likelihoods."""
        # What no score informs is the identity: one Cholesky factor of 1 + A has all. The product
        # of its diagonal but for the last is sqrt(|1 + J|), the last squared
        # 1 + s - h' (1 + J)^-1 h. That is above 1, for s less the rest is a sum of squares.
        p = self.A.shape[1] - 1
        diagonal = np.diagonal(np.linalg.cholesky(self.A + np.eye(p + 1)), axis1=1, axis2=2)
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


def given_target(
    prior: FloatArray, settings: Settings, c: int, target: Rows, rows: Rows
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The channel's coefficients after its rows, for known ones of the target.

    Returns:
        `A` (G, p, p), `b` (G, p) and `T` (G, p, p) of `beta_c ~ N(A beta + b, T)`: the share of the
        target's, and of its own what `y - X beta` says (see `Solved`).
    """
    told = Solved.of(prior, settings, c, target, rows)
    A = told.L[:, :, None] * np.eye(told.L.shape[1]) - told.T @ told.FWX
    return A, (told.T @ told.FWy[:, :, None])[:, :, 0], told.T


@dataclass(frozen=True, eq=False)
class Solved:
    """Rows of a channel under G settings, its own share of the coefficients integrated out.

    With `W` the precisions of rows, `k` their shares of the target's score, `X = F L - k F` what
    `beta` is multiplied by and `G` the prior covariance of the channel's own share, the density is
    that of `y ~ N(X beta, 1/W + F G F')` (Woodbury).

    Attributes:
        L: (G, p) the target's share of the coefficients.
        T: (G, p, p) `(1/G + F'WF)^-1`.
        FWX, FWy: (G, p, p) and (G, p).
        likelihood: of all rows.
        each: (L,) the rows by themselves, by level of noise.
        which: (G,) the level of each setting.
    """

    rows: Rows
    L: FloatArray
    T: FloatArray
    FWX: FloatArray
    FWy: FloatArray
    likelihood: Likelihood
    each: list[Weighed]
    which: NDArray[np.intp]

    @classmethod
    def of(cls, prior: FloatArray, settings: Settings, c: int, target: Rows, rows: Rows) -> Solved:
        """Of channel `c`.

        Args:
            prior: (G, p) variances of the coefficients.
            target: whose rows `rows.pair` counts.
        """
        rho, amplitude, noise = settings.channels[c].T
        levels = np.column_stack([settings.noise * rows.has_pairs, noise])
        levels, which = np.unique(levels, axis=0, return_inverse=True)
        which = which.reshape(-1)
        each = [weighed(rows, target, float(of_target), float(own)) for of_target, own in levels]
        by_level = zip(*(moments(rows, told) for told in each), strict=True)
        M0, M1, M2, b0, b1, s0, l0 = (np.array(one)[which] for one in by_level)
        # The constant (column 0) is the channel's own altogether.
        is_term = np.arange(prior.shape[1]) > 0
        L = np.where(is_term, (amplitude * rho)[:, None], 0.0)
        own_share = np.where(is_term, (amplitude**2 * (1 - rho**2))[:, None], 1.0)
        root = np.sqrt(prior * own_share)
        # T = G^(1/2) (1 + G^(1/2) F'WF G^(1/2))^-1 G^(1/2)
        B = root[:, :, None] * M0 * root[:, None, :] + np.eye(prior.shape[1])
        T = root[:, :, None] * np.linalg.inv(B) * root[:, None, :]
        FWX = M0 * L[:, None, :] - M1
        XWX = L[:, :, None] * FWX - M1 * L[:, None, :] + M2
        Tb = (T @ b0[:, :, None])[:, :, 0]
        likelihood = Likelihood(
            XWX - np.swapaxes(FWX, 1, 2) @ T @ FWX,
            L * b0 - b1 - (np.swapaxes(FWX, 1, 2) @ Tb[:, :, None])[:, :, 0],
            s0 - (b0 * Tb).sum(axis=1),
            l0 - 0.5 * np.linalg.slogdet(B)[1],
        )
        return cls(rows, L, T, FWX, b0, likelihood, each, which)

    def added_by(self, some: NDArray[np.intp]) -> Likelihood:
        """What these of the rows (r,) add to the likelihood of the others.

        Rows that are left out of `N(X beta, 1/W + F G F')` take their block of its inverse `Q`
        along: with `Q_r` their rows of it, `X' Q_r' (Q_rr)^-1 Q_r X` of the precision.
        """
        f = self.rows.F[some]
        W, k, y, l = (  # noqa: E741 - the formula's
            np.array([values[some] for values in one])[self.which]
            for one in zip(*self.each, strict=True)
        )
        Tf = self.T @ f.T
        Q = W[:, :, None] * np.eye(len(some)) - W[:, :, None] * (f @ Tf) * W[:, None, :]
        Qy = W * (y - (self.FWy[:, None, :] @ Tf)[:, 0])
        X = f * self.L[:, None, :] - k[:, :, None] * f
        QX = W[:, :, None] * (X - np.swapaxes(Tf, 1, 2) @ self.FWX)
        inverse = np.linalg.inv(Q)
        pull = np.swapaxes(QX, 1, 2) @ inverse
        return Likelihood(
            pull @ QX,
            (pull @ Qy[:, :, None])[:, :, 0],
            (Qy * (inverse @ Qy[:, :, None])[:, :, 0]).sum(axis=1),
            l.sum(axis=1) + 0.5 * (np.linalg.slogdet(Q)[1] - np.log(W).sum(axis=1)),
        )


def of_combinations(
    prior: FloatArray, noise: float, combos: FloatArray, target: Rows, rows: Rows
) -> Scaled:
    """The likelihood that `Solved` finds for Q settings of a channel beside one of the target.

    The prior of the channel's own terms differs by a factor alone, so one eigendecomposition serves
    all of them that have the same noise; the constant is integrated out before.

    Args:
        prior: (p,) variances of the coefficients.
        noise: standard deviation of the target's training noise.
        combos: (Q, 3) as in `Settings.channels`.
    """
    p, (rho, amplitude, own) = len(prior), combos.T
    share, left = amplitude * rho, amplitude**2 * (1 - rho**2)
    A, l = np.empty((len(combos), p + 1, p + 1)), np.empty(len(combos))  # noqa: E741
    F = rows.F * np.sqrt(prior)
    # In units of the prior [X, y] is `share` D - E.
    D = np.column_stack([np.zeros(len(F)), F[:, 1:], np.zeros(len(F))])
    for level in np.unique(own):
        at = np.flatnonzero(own == level)
        told = weighed(rows, target, noise, float(level))
        both = np.hstack([D, told.k[:, None] * F, -told.y[:, None]])
        # 1. Sums over rows. Without the constant, W is W - W 1 c 1'W.
        sums, grown = told.W @ both, 1 + prior[0] * told.W.sum()
        products = (both.T * told.W) @ both - prior[0] / grown * np.outer(sums, sums)
        DD, DE, EE = (
            products[: p + 1, : p + 1],
            products[: p + 1, p + 1 :],
            products[p + 1 :, p + 1 :],
        )
        # 2. G^(1/2) F'WF G^(1/2) = U e U' for G = the prior; of a channel it is `left` times that.
        e, U = np.linalg.eigh(DD[1:p, 1:p])
        factor = 1 + left[at][:, None] * e.clip(0)
        turned = U.T @ products[1:p]
        # 3. [X, y]'W[X, y] less what the channel's own terms explain of it.
        a = share[at][:, None, None]
        V = a * turned[:, : p + 1] - turned[:, p + 1 :]
        A[at] = a**2 * DD - a * (DE + DE.T) + EE
        A[at] -= np.swapaxes(V * (left[at][:, None] / factor)[:, :, None], 1, 2) @ V
        l[at] = told.l.sum() - 0.5 * (np.log(grown) + np.log(factor).sum(axis=1))
    return Scaled(A, l)


def counts_of(n_channels: NDArray[np.intp], is_paired: NDArray[np.bool_]) -> FloatArray:
    """How many independent rows each of a run's rows in so many channels (n,) counts as; less of
    their noise is shared where what the target's row tells is taken off."""
    left = SHARED * (1 - SHARED) / (1 - SHARED**2)
    counts: FloatArray = 1 / (1 + (n_channels - 1) * np.where(is_paired, left, SHARED))
    return counts


class Weighed(NamedTuple):
    """n rows by themselves, under one setting of the noise.

    Attributes:
        W: (n,) precisions, 0 or more.
        k: (n,) shares of the target's score that are taken off.
        y: (n,) what is left of the scores.
        l: (n,) the constant of the densities.
    """

    W: FloatArray
    k: FloatArray
    y: FloatArray
    l: FloatArray  # noqa: E741 - the formula's


def weighed(rows: Rows, target: Rows, of_target: float, own: float) -> Weighed:
    """For standard deviations of the target's training noise and the channel's own."""
    variance = own**2 + rows.sampling
    k, y = np.zeros(len(rows.y)), rows.y.copy()
    paired = rows.pair != ALONE
    if paired.any():
        pair = rows.pair[paired]
        shared = SHARED * of_target * own
        k[paired] = shared / (of_target**2 + target.sampling[pair])
        variance[paired] -= k[paired] * shared
        y[paired] -= k[paired] * target.y[pair]
    return Weighed(rows.counts / variance, k, y, -0.5 * rows.counts * (np.log(variance) + LOG_2_PI))


class Moments(NamedTuple):
    """Sums over rows, with `W`, `k`, `y` and `l` of `Weighed`."""

    FWF: FloatArray
    FWkF: FloatArray
    FWkkF: FloatArray
    FWy: FloatArray
    FWky: FloatArray
    yWy: float  # noqa: N815 - the same
    l: float  # noqa: E741 - the formula's


def moments(rows: Rows, told: Weighed) -> Moments:
    """Of rows with features (n, p)."""
    FW = rows.F.T * told.W
    FWk = FW * told.k
    return Moments(
        FW @ rows.F,
        FWk @ rows.F,
        (FWk * told.k) @ rows.F,
        FW @ told.y,
        FWk @ told.y,
        float(told.W @ told.y**2),
        float(told.l.sum()),
    )
