"""From the scores of cases to the score of all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """A mean score with its sampling error."""

    score: float
    se: float | None
    """Standard error; None where it is that of a share of right answers (binomial), or where the
    scores do not differ and so say nothing of it."""


def mean(scores: Sequence[float], weights: Sequence[float] | None = None) -> Estimate:
    """Mean of scores in [0, 1], each counted alike or by its weight.

    The error is that of a mean, or of a ratio of sums (linearised: Cochran, "Sampling Techniques",
    1977, 2.11). All weights zero: the score is 0, as LISA has it.

    Raises:
        ValueError: there are no scores.
    """
    if not scores:
        raise ValueError("there are no scores to take the mean of")
    values = np.asarray(scores, dtype=float)
    n = len(values)
    shares = np.ones(n) if weights is None else np.asarray(weights, dtype=float)
    total = float(shares.sum())
    if total == 0:
        return Estimate(0.0, None)
    score = min(1.0, max(0.0, float(shares @ values) / total))
    is_share = weights is None and not bool(np.any((values > 0) & (values < 1)))
    off = shares * (values - score)
    spread = float(off @ off)
    if is_share or n == 1 or spread == 0:
        return Estimate(score, None)
    return Estimate(score, math.sqrt(n / (n - 1) * spread) / total)
