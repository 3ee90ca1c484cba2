"""What is known so far: mixtures that were trained, and how they scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from service.search.space import SAME, FloatArray, total_variation

TARGET = "full"
"""The channel that a search is judged by: the runs themselves."""
MERGED = "merged"
"""The channel of models merged from runs of single domains, which have to be there first."""
SCHEDULED = "scheduled"
"""The channel of runs whose mixture changed on the way: evidence about its mean."""
PARTS = "step-"
"""What the names of channels begin with that are scores of runs at a step before their last."""
ALONE = -1
"""`Runs.run` of a training run that no other row is of, or that is not known."""


@dataclass(frozen=True, eq=False)
class Runs:
    """n completed runs over m domains.

    Attributes:
        weights: (n, m) mixtures.
        score: (n,) objective of each.
        noise_sd: (n,) known sampling error of the objective; NaN where unknown.
        in_score, out_score: (n,) the paper's two aggregates; NaN where unknown.
        benchmarks, benchmark_sd: (n, B) the objective's benchmarks and their sampling errors; B is
            0 where only the objective is known.
        shares: (B,) of each benchmark in the objective.
        schedules: (n, P m) points of P phases each (`service.search.schedules`) where runs changed
            their mixture on the way; `weights` are their means then. Empty where none did.
        run: (n,) number of the training run that each is a score of; rows of different channels
            with the same number share their training noise. `ALONE` by default.
        channels: other evidence by its name, such as scores at an earlier step: each the runs as
            that channel scores them. Their scores need not be on the objective's scale.

    Raises:
        ValueError: shapes that do not fit, a weight or score that is not a number, or channels of
            other domains or benchmarks, within channels, or named as the target is.
    """

    weights: FloatArray
    score: FloatArray
    noise_sd: FloatArray
    in_score: FloatArray
    out_score: FloatArray
    benchmarks: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    benchmark_sd: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    shares: FloatArray = field(default_factory=lambda: np.empty(0))
    run: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    schedules: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    channels: Mapping[str, Runs] = field(default_factory=dict)

    def __post_init__(self) -> None:
        weights = np.atleast_2d(np.array(self.weights, dtype=float))
        n = len(np.atleast_1d(self.score))
        if n == 0:
            weights = weights.reshape(0, weights.shape[-1])
        if len(weights) != n:
            raise ValueError(f"{len(weights)} mixtures but {n} scores")
        object.__setattr__(self, "weights", weights)
        for name in ("score", "noise_sd", "in_score", "out_score"):
            values = np.array(getattr(self, name), dtype=float).reshape(-1)
            if values.shape != (n,):
                raise ValueError(f"{name} has {values.size} values for {n} runs")
            object.__setattr__(self, name, values)
        object.__setattr__(self, "shares", np.array(self.shares, dtype=float).reshape(-1))
        for name in ("benchmarks", "benchmark_sd"):
            values = np.array(getattr(self, name), dtype=float)
            if len(self.shares) == 0:
                values = np.empty((n, 0))
            if values.ndim != 2 or list(values.shape) != [n, len(self.shares)]:
                raise ValueError(
                    f"{name} has shape {values.shape} for {n} runs of {len(self.shares)} benchmarks"
                )
            object.__setattr__(self, name, values)
        if not (np.isfinite(weights).all() and np.isfinite(self.score).all()):
            raise ValueError("weights and scores must be numbers; leave unscored runs out")
        run = np.array(self.run, dtype=np.intp).reshape(-1)
        if run.size == 0:
            run = np.full(n, ALONE, dtype=np.intp)
        if run.shape != (n,):
            raise ValueError(f"run has {run.size} values for {n} runs")
        object.__setattr__(self, "run", run)
        if self.schedules.size and (
            len(self.schedules) != n or self.schedules.shape[1] % self.m != 0
        ):
            raise ValueError(
                f"schedules have shape {self.schedules.shape} for {n} runs of {self.m} domains"
            )
        for name, channel in self.channels.items():
            if name in ("", TARGET):
                raise ValueError(f"a channel beside the target cannot be called {name!r}")
            if channel.channels:
                raise ValueError(f"channel {name!r} has channels of its own")
            if channel.m != self.m or len(channel.shares) != len(self.shares):
                raise ValueError(
                    f"channel {name!r} has {channel.m} domains and {len(channel.shares)} "
                    f"benchmarks, the runs {self.m} and {len(self.shares)}"
                )

    @classmethod
    def none(cls, m: int) -> Runs:
        """No runs over m domains."""
        empty = np.empty(0)
        return cls(np.empty((0, m)), empty, empty, empty, empty)

    def __len__(self) -> int:
        return len(self.score)

    @property
    def m(self) -> int:
        """Number of domains."""
        return int(self.weights.shape[1])

    @property
    def points(self) -> FloatArray:
        """What tells runs apart: (n, P m) schedules where there are any, else (n, m) mixtures."""
        return self.schedules if self.schedules.size else self.weights

    @property
    def is_one_mixture(self) -> bool:
        """Whether all runs are as good as of their mean mixture, or of one schedule."""
        if len(self) == 0:
            return False
        points = self.points
        return bool(np.all(total_variation(points.mean(axis=0), points) <= SAME))

    def subset(self, mask: NDArray[np.bool_]) -> Runs:
        """The runs where `mask` (n,) is true; what the channels know stays."""
        return Runs(
            self.weights[mask],
            self.score[mask],
            self.noise_sd[mask],
            self.in_score[mask],
            self.out_score[mask],
            self.benchmarks[mask],
            self.benchmark_sd[mask],
            self.shares,
            self.run[mask],
            self.schedules[mask] if self.schedules.size else self.schedules,
            self.channels,
        )

    def without(self, point: FloatArray) -> Runs:
        """All that is known but of one of `points`, in every channel."""
        others = self.subset(total_variation(point, self.points) > SAME)
        left = {name: channel.without(point) for name, channel in self.channels.items()}
        return replace(others, channels=left)

    def weighed(self) -> Runs:
        """Without the benchmarks that the objective does not weigh, in every channel."""
        used = self.shares > 0
        if used.all():
            return self
        return replace(
            self,
            benchmarks=self.benchmarks[:, used],
            benchmark_sd=self.benchmark_sd[:, used],
            shares=self.shares[used],
            channels={name: channel.weighed() for name, channel in self.channels.items()},
        )

    def of_benchmark(self, b: int) -> Runs:
        """The runs with one benchmark's score as the objective, in every channel."""
        nothing = np.full(len(self), np.nan)
        return Runs(
            self.weights,
            self.benchmarks[:, b],
            self.benchmark_sd[:, b],
            nothing,
            nothing,
            run=self.run,
            schedules=self.schedules,
            channels={name: channel.of_benchmark(b) for name, channel in self.channels.items()},
        )

    def averaged(self, groups: list[NDArray[np.bool_]]) -> Runs:
        """One run for each mask (n,) of replicates: their mean mixture and their mean scores."""
        means = [self.subset(group) for group in groups]
        return Runs(
            np.array([part.weights.mean(axis=0) for part in means]).reshape(-1, self.m),
            np.array([part.score.mean() for part in means]),
            np.array([np.sqrt((part.noise_sd**2).sum()) / len(part) for part in means]),
            np.array([part.in_score.mean() for part in means]),
            np.array([part.out_score.mean() for part in means]),
        )

    def negated(self) -> Runs:
        """The same runs with less being better turned into more being better."""
        return replace(
            self,
            score=-self.score,
            in_score=-self.in_score,
            out_score=-self.out_score,
            benchmarks=-self.benchmarks,
            channels={name: channel.negated() for name, channel in self.channels.items()},
        )
