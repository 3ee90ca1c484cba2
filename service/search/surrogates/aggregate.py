"""Several benchmarks: a model of each, added up as the objective adds up the benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates.carried import Carried, averaged
from service.search.surrogates.protocol import (
    Fitted,
    Joint,
    Posterior,
    Searched,
    Surrogate,
    log_density,
)


class PerBenchmark:
    """Models the objective itself, and each of its benchmarks; keeps what predicts better.

    By the density of left-out runs. Without benchmark scores only the objective is modelled.

    Args:
        surrogate: of the objective.
        alike: the objective's fit to the surrogate of a benchmark, where that can be cheaper for
            what is known already; else the same.
    """

    def __init__(
        self, surrogate: Surrogate, alike: Callable[[Any], Surrogate] | None = None
    ) -> None:
        self._surrogate = surrogate
        self._alike = alike

    @property
    def min_runs(self) -> int:
        return self._surrogate.min_runs

    @property
    def max_runs(self) -> int:
        return self._surrogate.max_runs

    @property
    def takes_channels(self) -> bool:
        return self._surrogate.takes_channels

    @property
    def takes_schedules(self) -> bool:
        return self._surrogate.takes_schedules

    def fit(self, space: MixtureSpace, runs: Runs, seed: int) -> Fitted:
        whole = self._surrogate.fit(space, runs, seed)
        if len(runs.shares) < 2 or len(runs) < 3:
            return whole
        each = [runs.of_benchmark(b) for b in range(len(runs.shares))]
        parts = AggregateFit(self._parts(whole, space, each, seed), runs)
        return max((whole, parts), key=log_density)

    def each(
        self, space: MixtureSpace, runs: Runs, others: Sequence[Runs], seed: int
    ) -> list[Fitted]:
        """Models of other scores of the same kind of runs, such as single benchmarks."""
        return self._parts(self._surrogate.fit(space, runs, seed), space, others, seed)

    def _parts(
        self, whole: Fitted, space: MixtureSpace, others: Sequence[Runs], seed: int
    ) -> list[Fitted]:
        part = self._surrogate if self._alike is None else self._alike(whole)
        return [part.fit(space, other, seed) for other in others]


@dataclass(frozen=True, eq=False)
class AggregateFit(Searched):
    """`parts` by benchmark, taken to be independent given the mixture."""

    parts: Sequence[Fitted]
    runs: Runs

    @property
    def name(self) -> str:
        return self.parts[0].name

    @property
    def kind(self) -> str:
        return f"one model for each of {len(self.parts)} benchmarks"

    @property
    def channels(self) -> Mapping[str, Carried]:
        """Averaged over the benchmarks by their shares."""
        each = [part.channels for part in self.parts]
        return {name: averaged([one[name] for one in each], self.runs.shares) for name in each[0]}

    @property
    def trust(self) -> FloatArray | None:
        """Averaged in the same way."""
        each = [part.trust for part in self.parts if part.trust is not None]
        return np.average(each, axis=0, weights=self.runs.shares) if each else None

    @property
    def noise_sd(self) -> float:
        variances = np.array([part.noise_sd**2 for part in self.parts])
        return float(np.sqrt(self.runs.shares**2 @ variances))

    @property
    def n_fitted(self) -> int:
        return sum(part.n_fitted for part in self.parts)

    def predict(self, X: FloatArray, *, noisy: bool = False) -> tuple[FloatArray, FloatArray]:
        return self._added([part.predict(X, noisy=noisy) for part in self.parts])

    def posterior(self, X: FloatArray) -> Posterior:
        each = [part.posterior(X) for part in self.parts]
        mean = sum(s * belief.mean for s, belief in zip(self.runs.shares, each, strict=True))
        covariance = sum(
            s**2 * belief.covariance for s, belief in zip(self.runs.shares, each, strict=True)
        )
        return Posterior(np.asarray(mean), np.asarray(covariance))

    def joint(self, X: FloatArray) -> Joint:
        """A channel's score of the objective is told by its scores of the benchmarks."""
        each = [part.joint(X) for part in self.parts]
        shares = self.runs.shares
        return Joint(
            each[0].names,
            np.tensordot(shares, np.array([one.mean for one in each]), 1),
            np.asarray(sum(s**2 * one.covariance for s, one in zip(shares, each, strict=True))),
            shares**2 @ np.array([one.noise for one in each]),
        )

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        return self._added([part.leave_one_out() for part in self.parts])

    def _added(self, each: list[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray]:
        means, sds = np.array([mean for mean, _ in each]), np.array([sd for _, sd in each])
        shares = self.runs.shares
        return shares @ means, np.sqrt(shares**2 @ sds**2)
