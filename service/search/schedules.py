"""Schedules as points: a mixture for each phase of a run, on the simplex of domains by phases.

The point of a schedule has its phases one after the other, each mixture times its phase's share of
the run. So the weights of a point sum to 1, those of a phase to its share, their sum over phases is
the mean mixture, and half the sum of absolute differences is, as between mixtures, the share of the
samples that two schedules differ by. A mixture that does not change is a schedule of equal phases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from service.search.limits import LinearLimit
from service.search.runs import Runs
from service.search.space import MAX_LISTED, FloatArray, MixtureSpace


def unchanging(mixtures: FloatArray, shares: FloatArray) -> FloatArray:
    """(k, P m) points of mixtures (k, m) that stay the same in phases with shares (P,)."""
    points: FloatArray = np.tile(mixtures, len(shares)) * np.repeat(shares, mixtures.shape[1])
    return points


def mean_of(points: FloatArray, m: int) -> FloatArray:
    """(k, m) mean mixtures of points (k, P m) over m domains."""
    means: FloatArray = points.reshape(len(points), points.shape[1] // m, m).sum(axis=1)
    return means


def shares_of(points: FloatArray, m: int) -> FloatArray:
    """(P,) shares of the phases of points (k, P m), the same for all."""
    shares: FloatArray = (
        points.reshape(len(points), points.shape[1] // m, m).sum(axis=2).mean(axis=0)
    )
    return shares


def of_phases(mixtures: FloatArray, lengths: FloatArray, shares: FloatArray) -> FloatArray:
    """(P m,) the point, in phases with shares (P,), of a run of mixtures (q, m) whose phases have
    lengths (q,): where theirs end elsewhere, means over the wanted ones."""
    ends, wanted = np.cumsum(lengths), np.cumsum(shares)
    last = np.minimum.outer(wanted, ends)
    first = np.maximum.outer(wanted - shares, ends - lengths)
    point: FloatArray = (np.clip(last - first, 0, None) @ mixtures).ravel()
    return point


def named_phases(
    space: MixtureSpace, shares: FloatArray, mixtures: FloatArray
) -> list[dict[str, Any]]:
    """Phases with shares (P,) and mixtures (P, m) of a space, by the names of its domains."""
    return [
        {"share": float(share), "mixture": space.named(mixture)}
        for share, mixture in zip(shares, mixtures, strict=True)
    ]


def has_schedules(space: MixtureSpace, runs: Runs) -> bool:
    """Whether mixtures that change on the way are asked about, or were run."""
    return isinstance(space, ScheduleSpace) or runs.schedules.size > 0


def of_mean_mixtures(space: MixtureSpace, runs: Runs) -> Runs:
    """Runs as if each had had its mean mixture all the time."""
    means = mean_of(runs.points, space.of_means.m)
    return replace(runs, weights=means, schedules=np.empty((0, 0)))


class ScheduleSpace(MixtureSpace):
    """Schedules whose mean mixture lies in a convex space; `m` counts pairs of domain and phase.

    Attributes:
        mixtures: (m domains) what the mean mixture may be; a phase's own may be any.
        shares: (P,) of the run that each phase has.

    Raises:
        ValueError: means of allowed mixtures need not be allowed: the space is not convex.
    """

    mixtures: MixtureSpace
    shares: FloatArray

    def __init__(self, mixtures: MixtureSpace, shares: Sequence[float]) -> None:
        if not mixtures.is_convex:
            raise ValueError(
                "a schedule's mean need not keep to a limit on the number of domains, nor to a "
                "least weight of those that are used"
            )
        self.mixtures, self.shares = mixtures, np.array(shares, dtype=float)
        self.shares.setflags(write=False)
        n_phases, within = len(self.shares), mixtures.relaxed
        names = [[f"{d} in phase {p + 1}" for d in mixtures.domains] for p in range(n_phases)]
        limits = [
            LinearLimit(dict.fromkeys(phase, sign), sign * float(share), f"share of phase {p}")
            for p, (phase, share) in enumerate(zip(names[:-1], self.shares, strict=False), 1)
            for sign in (1.0, -1.0)
        ]
        # The rows of the mean's limits, its bounds among them where they are any.
        eye = np.eye(mixtures.m)
        least, most = within.lower > 0, (within.upper < 1) & (within.upper > 0)
        rows = np.vstack([within.A, -eye[least], eye[most]])
        levels = np.concatenate([within.b, -within.lower[least], within.upper[most]])
        for row, level in zip(rows, levels, strict=True):
            weighed = dict(zip(chain(*names), np.tile(row, n_phases).tolist(), strict=True))
            limits.append(LinearLimit(weighed, float(level), "a limit of the mean mixture"))
        self._is_free = len(rows) == 0
        most_of_any = np.tile((within.upper > 0).astype(float), n_phases)
        super().__init__(
            tuple(name for phase in names for name in phase),
            np.zeros(len(most_of_any)),
            most_of_any,
            tuple(limits),
        )

    @property
    def of_means(self) -> MixtureSpace:
        return self.mixtures

    @property
    def n_phases(self) -> int:
        return len(self.shares)

    @property
    def uniform(self) -> FloatArray:
        """Equal weights all the time."""
        point: FloatArray = self.unchanging(self.mixtures.uniform[None])[0]
        return point

    def runs(self, runs: Runs) -> Runs:
        """The same with points in the place of mixtures."""
        points = runs.schedules if runs.schedules.size else self.unchanging(runs.weights)
        return replace(runs, weights=points, schedules=np.empty((0, 0)))

    def unchanging(self, mixtures: FloatArray) -> FloatArray:
        """(k, P m) points of mixtures (k, m) that stay the same."""
        return unchanging(mixtures, self.shares)

    def phases(self, point: FloatArray) -> FloatArray:
        """(P, m) mixtures of a point, each summing to 1."""
        weights = np.clip(point.reshape(self.n_phases, -1), 0, None)
        mixtures: FloatArray = weights / weights.sum(axis=1, keepdims=True)
        return mixtures

    def and_plainer(self, X: FloatArray) -> FloatArray:
        """Schedules and, after them, the mixtures that are their means."""
        return np.vstack([X, self.unchanging(mean_of(X, self.mixtures.m))])

    # --- where the mean is not limited, phases are mixtures on their own -------------------------

    def project(self, y: ArrayLike) -> FloatArray:
        if not self._is_free:
            return super().project(y)
        Y = np.asarray(y, dtype=float)
        phases = Y.reshape(-1, self.n_phases, self.mixtures.m)
        found = [
            share * self.mixtures.project(phases[:, p] / share)
            for p, share in enumerate(self.shares)
        ]
        projected: FloatArray = np.hstack(found).reshape(Y.shape)
        return projected

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """(n, P m) schedules, uniform."""
        if not self._is_free:
            return super().sample(n, rng)
        return np.hstack([share * self.mixtures.sample(n, rng) for share in self.shares])

    def vertices(self) -> FloatArray:
        if not self._is_free:
            return super().vertices()
        each = product(self.mixtures.vertices(), repeat=self.n_phases)
        return np.array([np.concatenate(phases) for phases in each]) * np.repeat(
            self.shares, self.mixtures.m
        )

    @cached_property
    def has_listed_vertices(self) -> bool:
        if not self._is_free:
            return self.relaxed.n_vertices() <= MAX_LISTED
        return bool(self.mixtures.relaxed.n_vertices() ** self.n_phases <= MAX_LISTED)
