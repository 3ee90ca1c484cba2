"""The data mixing law `c + k exp(t . w)` (Ye et al., "Data Mixing Laws", 2024).

Monotone in every domain's weight along any line, so it has no best blend inside the simplex but
where limits put one; for comparison.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares

from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates.point import Guess, PointFit
from service.search.surrogates.protocol import ENDLESS

RIDGE = 0.1
"""Weight of a penalty on t: with fewer runs than domains the law is not determined otherwise."""
MAX_EXPONENT = 20.0
CURVED = 3.0
"""Bound on log k in units of the scores' spread: far beyond it the law is a plane, and c and k
cannot be told apart."""
MAX_STEPS = 100
SIGNS = (1.0, -1.0)


class LogLinear:
    """Least squares from two starts, the law rising and falling; deterministic."""

    min_runs = 2
    max_runs = ENDLESS
    takes_channels = False
    takes_schedules = False

    def fit(self, space: MixtureSpace, runs: Runs, seed: int) -> PointFit:
        return PointFit("log-linear", "data mixing law c + k exp(t . w)", _learn, runs)


def _learn(X: FloatArray, y: FloatArray) -> Guess:
    centre, scale = float(y.mean()), float(y.std()) or 1.0
    middle = X.mean(axis=0)
    Z, target = X - middle, (y - centre) / scale
    m = X.shape[1]

    def law(parameters: FloatArray, sign: float, Z: FloatArray) -> FloatArray:
        exponent = np.clip(parameters[1] + Z @ parameters[2:], -MAX_EXPONENT, MAX_EXPONENT)
        value: FloatArray = parameters[0] + sign * np.exp(exponent)
        return value

    def off(parameters: FloatArray, sign: float) -> FloatArray:
        miss = law(parameters, sign, Z) - target
        return np.concatenate([miss, np.sqrt(RIDGE) * parameters[2:] / np.sqrt(m)])

    def slope(parameters: FloatArray, sign: float) -> FloatArray:
        steep = law(parameters, sign, Z) - parameters[0]
        rows = np.hstack([np.ones((len(Z), 1)), steep[:, None], steep[:, None] * Z])
        penalty = np.hstack([np.zeros((m, 2)), np.sqrt(RIDGE / m) * np.eye(m)])
        return np.vstack([rows, penalty])

    is_log_k = np.arange(m + 2) == 1
    fits = [
        least_squares(
            off,
            np.concatenate([[-sign], np.zeros(m + 1)]),
            slope,
            bounds=(np.where(is_log_k, -CURVED, -np.inf), np.where(is_log_k, CURVED, np.inf)),
            max_nfev=MAX_STEPS,
            args=(sign,),
        )
        for sign in SIGNS
    ]
    best, sign = min(zip(fits, SIGNS, strict=True), key=lambda fit: float(fit[0].cost))
    return lambda X: centre + scale * law(best.x, sign, X - middle)
