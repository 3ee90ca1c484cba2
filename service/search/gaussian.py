"""The normal distribution, without the second that importing `scipy.stats` takes."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from service.search.space import FloatArray


def log_density(x: FloatArray, mean: FloatArray, variance: FloatArray) -> FloatArray:
    """Log density of a normal distribution, elementwise."""
    density: FloatArray = -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance)
    return density


def quantiles(n: int) -> FloatArray:
    """(n,) standard normal values with equal probability between them: the middles of n parts."""
    values: FloatArray = ndtri((np.arange(n) + 0.5) / n)
    return values
