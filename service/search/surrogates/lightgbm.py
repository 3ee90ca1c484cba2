"""RegMix's regressor (Liu et al., "RegMix", 2024): boosted trees on the weights, by LightGBM.

Their learning rate and number of trees; leaves are small because runs are few. Piecewise constant,
so many mixtures share the best prediction; for comparison.
"""

from __future__ import annotations

import numpy as np

from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates.point import Guess, PointFit
from service.search.surrogates.protocol import ENDLESS

TREES = 1000
LEARNING_RATE = 0.01
LEAVES = 3


class LightGbm:
    """Deterministic, one thread."""

    min_runs = 3
    max_runs = ENDLESS
    takes_channels = False
    takes_schedules = False

    def fit(self, space: MixtureSpace, runs: Runs, seed: int) -> PointFit:
        kind = f"{TREES:,} boosted trees of {LEAVES} leaves"
        return PointFit("lightgbm", kind, _learn, runs)


def _learn(X: FloatArray, y: FloatArray) -> Guess:
    from lightgbm import LGBMRegressor  # an optional extra

    model = LGBMRegressor(
        n_estimators=TREES,
        learning_rate=LEARNING_RATE,
        num_leaves=LEAVES,
        min_child_samples=LEAVES,
        random_state=0,
        deterministic=True,
        n_jobs=1,
        verbosity=-1,
    )
    model.fit(X, y)
    return lambda X: np.asarray(model.predict(X), dtype=float)
