"""What every surrogate can do."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace


class Posterior(NamedTuple):
    """Belief about the noise-free objective at k mixtures."""

    mean: FloatArray
    """(k,)"""
    covariance: FloatArray
    """(k, k)"""

    @property
    def sd(self) -> FloatArray:
        """(k,) standard deviations."""
        sd: FloatArray = np.sqrt(np.clip(np.diag(self.covariance), 0, None))
        return sd


class Fitted(Protocol):
    """A surrogate that has seen runs."""

    @property
    def noise_sd(self) -> float:
        """Standard deviation of one run around the noise-free objective."""
        ...

    def predict(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation (k,) of the noise-free objective at mixtures (k, m)."""
        ...

    def posterior(self, X: FloatArray) -> Posterior:
        """The joint belief at mixtures (k, m)."""
        ...

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """(n,) mean and standard deviation of each run's score as foreseen without that run.

        The standard deviation is that of a new observation: model and noise together.
        """
        ...


class Surrogate(Protocol):
    """A kind of model."""

    @property
    def min_runs(self) -> int:
        """Fewest runs it can be fitted to."""
        ...

    def fit(self, space: MixtureSpace, runs: Runs, seed: int) -> Fitted:
        """The model after these runs; deterministic given the seed."""
        ...
