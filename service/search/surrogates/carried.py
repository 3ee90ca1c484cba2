"""How far a channel's evidence carries over to the target, and what it is worth in runs of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaincinv

from service.search.space import FloatArray

MOST = 1e4
"""Worth that is not told apart from more."""


class Carried(NamedTuple):
    """How far a channel's evidence carries over to the target."""

    rho: float
    """Correlation of its coefficients with the target's, averaged over the belief."""
    rho_sd: float
    worth_in_runs: float
    """Full runs of its mixtures that would leave the same uncertainty about them."""


_PARTS = ((0.9, "nearly all"), (0.7, "most"), (0.4, "some"), (0.0, "hardly any"))
"""Of what a channel tells, by the least correlation from which on it is so much."""
WIDE = 0.6
"""An interval of a correlation that is wider says next to nothing."""


def in_words(rho: float, rho_sd: float) -> str:
    """How far scores carry over, as `most of what they tell carries over (correlation 0.80, 0.55 to
    0.97)`."""
    low, high = interval_of(rho, rho_sd)
    part = next((words for least, words in _PARTS if rho >= least), _PARTS[-1][1])
    said = f"{part} of what they tell carries over"
    if high - low > WIDE:
        said = "how far they carry over is hardly known yet"
    return f"{said} (correlation {rho:.2f}, {low:.2f} to {high:.2f})"


def interval_of(rho: float, rho_sd: float) -> tuple[float, float]:
    """95% interval of a correlation from 0 to 1 with this mean and standard deviation: that of the
    beta distribution with the same, which may have its weight at both ends, as such beliefs do."""
    if rho_sd == 0 or not 0 < rho < 1:
        return rho, rho
    n = max(rho * (1 - rho) / rho_sd**2 - 1, 0.01)
    low, high = betaincinv(rho * n, (1 - rho) * n, [0.025, 0.975])
    return float(low), float(high)


def averaged(each: Sequence[Carried], share: FloatArray) -> Carried:
    """Over beliefs with so large shares (k,)."""
    rho = share @ np.array([carried.rho for carried in each])
    second = share @ np.array([carried.rho**2 + carried.rho_sd**2 for carried in each])
    worth = share @ np.array([carried.worth_in_runs for carried in each])
    return Carried(min(float(rho), 1.0), float(np.sqrt(max(second - rho**2, 0.0))), float(worth))


def worth_in_runs(own: FloatArray, added: FloatArray, F: FloatArray, noise: float) -> float:
    """Runs of a channel's mixtures that would leave the same uncertainty about them as it does.

    Args:
        own: (p, p) precision of the coefficients without the channel.
        added: (p, p) precision that the channel adds.
        F: (n, p) features of the channel's mixtures; the runs are spread evenly over them.
        noise: variance of a run.
    """
    left = float(((F @ np.linalg.inv(own + added)) * F).sum(axis=1).mean())
    # With own = R R' and e the eigenvalues of R^-1 (F'F / n / noise) R'^-1, k runs leave a mean
    # variance of noise * sum e / (1 + k e).
    inverse = np.linalg.inv(np.linalg.cholesky(own))
    return _runs_leaving(left, inverse @ (F.T @ F / len(F) / noise) @ inverse.T, noise)


def worth_by_covariance(before: FloatArray, left: float, noise: float) -> float:
    """The same of a belief that has no coefficients.

    Args:
        before: (n, n) covariance of the target at the channel's mixtures without the channel.
        left: mean variance there with it.
        noise: variance of a run.
    """
    return _runs_leaving(left, before / len(before) / noise, noise)


def _runs_leaving(left: float, by_one: FloatArray, noise: float) -> float:
    e = np.linalg.eigvalsh(by_one).clip(0)

    def more(k: float) -> float:
        return float(noise * (e / (1 + k * e)).sum()) - left

    if more(0.0) <= 0:
        return 0.0
    return MOST if more(MOST) > 0 else float(brentq(more, 0.0, MOST, xtol=1e-3))
