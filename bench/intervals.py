"""Scores of runs with other seeds in words: means and differences with 95% intervals."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

Values = NDArray[np.float64]


def mean(values: Values) -> str:
    """Mean of (n,) values: `56.9 ± 8.6`, by Student's t."""
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.1f} ± {half:.1f}"


def difference(mine: Values, theirs: Values) -> tuple[float, float]:
    """The 95% interval of the difference of two means, by Welch's t."""
    low, high = scipy.stats.ttest_ind(mine, theirs, equal_var=False).confidence_interval(0.95)
    return float(low), float(high)


def gain(mine: Values, theirs: Values) -> str:
    """Difference of two means: `+5.1 ± 7.5`, by Welch's t."""
    low, high = difference(mine, theirs)
    return f"{mine.mean() - theirs.mean():+.1f} ± {(high - low) / 2:.1f}"


def spread(values: Values) -> str:
    """Mean with the standard deviation in brackets: `51.2 (2.7)`."""
    return f"{values.mean():.1f} ({values.std(ddof=1):.1f})"


def upper_quantile(values: list[float], q: float) -> float:
    """Of rising values, the upper of the two neighbours: infinities cannot be averaged."""
    return values[min(len(values) - 1, int(np.ceil(q * (len(values) - 1))))]


def share(kept: float, n: int) -> tuple[float, float]:
    """The 95% interval of a binomial share by Jeffreys: n times, of which so many, which may be a
    fraction where each time is itself a share (Brown, Cai and DasGupta, 2001)."""
    low, high = scipy.stats.beta.ppf([0.025, 0.975], kept + 0.5, n - kept + 0.5)
    return 0.0 if kept == 0 else float(low), 1.0 if kept == n else float(high)
