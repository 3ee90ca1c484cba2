"""The paper's surrogate, as published: least squares on `[1, x, x (x) x]` (Algorithm 4).

Its weaknesses stay: on a simplex the 1 + m + m^2 columns have rank m(m+1)/2 at most, so the
coefficients are those of least norm, not identified ones; the best of five random splits is chosen
by a test R2 over two to a few points; and it has no uncertainty. The standard deviation given here
is ours: the root mean square error of the splits' held-out runs, the same everywhere, so it grows
neither far from the runs nor where they disagree. Compare its coverage in the diagnostics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates.protocol import ENDLESS, Posterior, Searched

SPLITS = 5
TEST_SHARE = 0.2
MIN_SPLIT = 5
"""Fewer runs than this leave one test run or none, on which R2 says nothing: no split then."""


def features(X: FloatArray) -> FloatArray:
    """(n, 1 + m + m^2) columns 1, x and all products of two weights."""
    n, m = X.shape
    products = (X[:, :, None] * X[:, None, :]).reshape(n, m * m)
    return np.hstack([np.ones((n, 1)), X, products])


class QuadSurface:
    """Least squares, best of five 80/20 splits."""

    min_runs = 2
    max_runs = ENDLESS
    takes_channels = False
    takes_schedules = False

    def fit(self, space: MixtureSpace, runs: Runs, seed: int) -> QuadSurfaceFit:
        coefficients, error = _best_split(_mixtures(runs), runs.score, seed)
        return QuadSurfaceFit(coefficients, error, runs, seed)


@dataclass(frozen=True, eq=False)
class QuadSurfaceFit(Searched):
    """Coefficients (1 + m + m^2,) of the chosen split."""

    coefficients: FloatArray
    noise_sd: float
    runs: Runs
    seed: int

    name = "quadsurface"
    kind = f"least squares, best of {SPLITS} splits"

    @property
    def n_fitted(self) -> int:
        return 0  # leave_one_out fits everything again

    def predict(self, X: FloatArray, *, noisy: bool = False) -> tuple[FloatArray, FloatArray]:
        mean = features(np.atleast_2d(X)) @ self.coefficients
        return mean, np.full(len(mean), self.noise_sd)

    def posterior(self, X: FloatArray) -> Posterior:
        mean, sd = self.predict(X)
        return Posterior(mean, np.diag(sd**2))

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """By fitting again without each run."""
        n = len(self.runs)
        mean, sd = np.empty(n), np.empty(n)
        X = _mixtures(self.runs)
        for i in range(n):
            others = np.arange(n) != i
            coefficients, error = _best_split(X[others], self.runs.score[others], self.seed)
            mean[i] = (features(X[i : i + 1]) @ coefficients)[0]
            sd[i] = error
        return mean, sd


def _mixtures(runs: Runs) -> FloatArray:
    """(n, m) the mixtures, the very same for runs of one: their noise must not pass for slopes."""
    if not runs.is_one_mixture:
        return runs.weights
    return np.repeat(runs.weights.mean(axis=0)[None], len(runs), axis=0)


def _best_split(X: FloatArray, y: FloatArray, seed: int) -> tuple[FloatArray, float]:
    """Coefficients of the split with the best test R2, and the error on held-out runs."""
    F, n = features(X), len(y)
    spread = float(y.std()) if n > 1 else 0.0
    if n < MIN_SPLIT:
        return _least_squares(F, y), spread
    rng = np.random.default_rng(seed)
    n_test = int(np.ceil(TEST_SHARE * n))
    best, best_r2 = _least_squares(F, y), -np.inf
    squares: list[FloatArray] = []
    for _ in range(SPLITS):
        order = rng.permutation(n)
        test, train = order[:n_test], order[n_test:]
        coefficients = _least_squares(F[train], y[train])
        residual = y[test] - F[test] @ coefficients
        squares.append(residual**2)
        total = float(((y[test] - y[test].mean()) ** 2).sum())
        r2 = 1 - float((residual**2).sum()) / total if total > 0 else -np.inf
        if r2 > best_r2:
            best, best_r2 = coefficients, r2
    return best, float(np.sqrt(np.concatenate(squares).mean()))


def _least_squares(F: FloatArray, y: FloatArray) -> FloatArray:
    """The solution of least norm, as in scikit-learn's LinearRegression on a rank-deficient F."""
    return np.asarray(np.linalg.lstsq(F, y, rcond=None)[0], dtype=float)
