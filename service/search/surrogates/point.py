"""Models that know a best guess and nothing of how sure it is.

Their standard deviation is ours: the root mean square error of held-out runs, the same everywhere,
so it grows neither far from the runs nor where they disagree. Compare coverage in the diagnostics.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from service.search.runs import Runs
from service.search.space import FloatArray
from service.search.surrogates.protocol import Posterior, Searched

FOLDS = 10
LEFT_OUT_ONE_BY_ONE = 64
"""More runs than this are held out in ten parts instead of one by one."""

Guess = Callable[[FloatArray], FloatArray]
"""Mixtures (k, m) to scores (k,)."""
Learn = Callable[[FloatArray, FloatArray], Guess]
"""Mixtures (n, m) and scores (n,) to a guess."""


@dataclass(frozen=True, eq=False)
class PointFit(Searched):
    """A guess learned from all runs; `learn` learns it again without some of them."""

    name: str
    kind: str
    learn: Learn
    runs: Runs

    @property
    def n_fitted(self) -> int:
        return 0  # leave_one_out fits everything again

    @cached_property
    def guess(self) -> Guess:
        """What all runs together say."""
        return self.learn(self.runs.weights, self.runs.score)

    @cached_property
    def _held_out(self) -> FloatArray:
        """(n,) each run's score as guessed from others."""
        n = len(self.runs)
        if n < 2:
            return np.full(n, self.runs.score.mean())
        parts = n if n <= LEFT_OUT_ONE_BY_ONE else FOLDS
        # Neighbours in the file may be of one design; every tenth run is not.
        part = np.arange(n) % parts
        guessed = np.empty(n)
        for p in range(parts):
            rest = part != p
            guess = self.learn(self.runs.weights[rest], self.runs.score[rest])
            guessed[~rest] = guess(self.runs.weights[~rest])
        return guessed

    @property
    def noise_sd(self) -> float:
        return float(np.sqrt(((self.runs.score - self._held_out) ** 2).mean()))

    def predict(self, X: FloatArray, *, noisy: bool = False) -> tuple[FloatArray, FloatArray]:
        mean = self.guess(np.atleast_2d(X))
        return mean, np.full(len(mean), self.noise_sd)

    def posterior(self, X: FloatArray) -> Posterior:
        mean, sd = self.predict(X)
        return Posterior(mean, np.diag(sd**2))

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        return self._held_out, np.full(len(self.runs), self.noise_sd)
