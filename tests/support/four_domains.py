"""Runs over four domains by a known quadratic, for tests of surrogates and their channels."""

from __future__ import annotations

import numpy as np

from service.search.runs import Runs
from service.search.space import MixtureSpace

SPACE = MixtureSpace.simplex("abcd")
NOISE = 0.03


def runs_of(X, y, run=(), channels=None):
    unknown = np.full(len(y), np.nan)
    return Runs(X, y, unknown, unknown, unknown, run=run, channels=channels or {})


def truth(X):
    return X @ np.array([0.3, 0.5, 0.2, 0.4]) + 0.8 * X[:, 0] * X[:, 1] - 0.3 * X[:, 2] * X[:, 3]


def measured(n, rng):
    X = SPACE.sample(n, rng)
    return runs_of(X, truth(X) + NOISE * rng.normal(size=n))
