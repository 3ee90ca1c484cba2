"""Runs that change their mixture on the way: what the mean mixture does, and what its order adds.

The objective is the quadratic of the mean mixture, as it is without schedules, and two kinds of
terms in how far each phase p, with share s_p, is off the mean, `e_p = w_p - mean`: linear ones,
`g_pd s_p e_pd`, by which a domain is worth more early than late; and for each domain
`h_d sum_p s_p e_pd^2`, by which it is worth more at once than spread out. Both are 0 where the
mixture does not change, so plain runs teach the mean alone. How much they do is averaged over by
evidence like all scales: most of the belief beforehand is that they do nothing or little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from service.search.quadratics import Phased
from service.search.runs import Runs
from service.search.schedules import mean_of, shares_of
from service.search.space import FloatArray
from service.search.surrogates.averaging import Grid, averaged_over
from service.search.surrogates.part import LINEAR, NEGLIGIBLE, NOISE, PAIRS, TYPICAL, Part, Scaling

NOTHING = 1e-3
ORDER = (NOTHING, 0.2, 0.6, 2.0)
"""Settings that are averaged over: standard deviation, in units of the scores' own, of what the
order adds where each phase is a single domain. The first is as good as 0."""
NO_ORDER = 0.5
"""Probability beforehand that the order does nothing; the other settings are all as likely."""
LEAST_SCALE = 1e-6
"""With one domain there is nothing to order."""
MOST_SETTINGS = 128
"""That are kept for predictions: the likeliest."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PhasedScaling(Scaling):
    """Units of the mean's terms as they are without schedules, and then of those of the order.

    Attributes:
        shares: (P,) of the phases.
    """

    shares: FloatArray

    @classmethod
    def around(cls, of_mean: Scaling, shares: FloatArray) -> PhasedScaling:
        return cls(**vars(of_mean), shares=shares)

    @property
    def order_scales(self) -> FloatArray:
        """(P m + m,) by which linear terms, and then squares, each come to about 1 in all in
        schedules whose phases are single domains at random: further off the mean none are."""
        m, s = self.m, self.shares
        of_weight = (m - 1) / m**2  # variance of a domain's weight in a phase
        linear = np.sqrt(m * of_weight * (s**2 * (1 - 2 * s + s @ s)).sum())
        square = np.sqrt(1 / 2) * (1 - s @ s) * (1 - 1 / m)
        return np.repeat(np.maximum([linear, square], LEAST_SCALE), [len(s) * m, m])

    def features(self, X: FloatArray) -> FloatArray:
        """(n, p) of mixtures (n, m) or of schedules (n, P m)."""
        n_order = len(self.shares) * self.m + self.m
        if X.shape[1] == self.m:
            return np.hstack([super().features(X), np.zeros((len(X), n_order))])
        mean = mean_of(X, self.m)
        off = X.reshape(len(X), -1, self.m) / self.shares[:, None] - mean[:, None, :]
        linear = (self.shares[:, None] * off).reshape(len(X), -1)
        square = np.einsum("p,npd->nd", self.shares, off**2)
        order = np.hstack([linear, square]) / self.order_scales
        return np.hstack([super().features(mean), order])

    def prior(self, settings: FloatArray) -> FloatArray:
        """(G, p) variances for standard deviations (G, 3): of linear terms, pairs and the order."""
        of_order = np.repeat(settings[:, 2:] ** 2, len(self.order_scales), axis=1)
        return np.hstack([super().prior(settings[:, :2]), of_order])

    def quadratic(self, coefficients: FloatArray) -> Phased:
        n_mean, m, s = len(self.feature_scale), self.m, self.shares
        raw = self.scale * coefficients[n_mean:] / self.order_scales
        linear, square = raw[:-m].reshape(len(s), m), raw[-m:]
        # With x_p = s_p w_p: s_p e_p = x_p - s_p mean, and sum_p s_p e_p^2 = sum_p x_p^2 / s_p
        # - mean^2, where the mean is the sum of all x_p.
        slope = linear - s @ linear
        curvature = 2 * np.diag((square / s[:, None]).ravel())
        curvature -= 2 * np.tile(np.diag(square), (len(s), len(s)))
        return Phased(self.of_mixtures(coefficients[:n_mean]), slope.ravel(), curvature)


@dataclass(frozen=True, eq=False)
class PhasedPart(Part):
    """Attributes:
    order: probability that the order does something.
    """

    order: float = 0.0


def fitted_with_phases(points: FloatArray, runs: Runs, of_mean: Scaling) -> PhasedPart:
    """From runs of the mean mixtures and (n, P m) points of what they were."""
    scaling = PhasedScaling.around(of_mean, shares_of(points, runs.m))
    settings = np.array(list(product(LINEAR, PAIRS, ORDER, NOISE)))
    off = np.log(settings[:, [0, 1, 3]] / TYPICAL)
    is_nothing = settings[:, 2] == NOTHING
    some = np.log((1 - NO_ORDER) / (len(ORDER) - 1))
    grid = Grid(
        settings[:, :3],
        settings[:, 3],
        -0.5 * (off**2).sum(axis=1) + np.where(is_nothing, np.log(NO_ORDER), some),
        NEGLIGIBLE / len(ORDER),
        MOST_SETTINGS,
    )
    found, weight = averaged_over(grid, scaling, points, runs)
    return PhasedPart(**vars(found), order=float(weight[~is_nothing].sum()))


def in_words(parts: Sequence[Part], share: FloatArray) -> str:
    """How likely it is that the order does something; nothing where no run has one."""
    orders = [part.order for part in parts if isinstance(part, PhasedPart)]
    if not orders:
        return ""
    return f"; {100 * float(share @ np.array(orders)):.0f}% that the order of phases matters"
