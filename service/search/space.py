"""The mixture space: weights that are non-negative, within bounds, and sum to 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

SAME = 0.005
"""Two mixtures closer than this in total variation train on the same data but for a few samples."""

_MAX_EXACT_VERTICES = 12
_ENOUGH_ACCEPTED = 0.01


def total_variation(x: ArrayLike, others: FloatArray) -> FloatArray:
    """Share of the samples by which mixtures differ: half the sum of absolute differences.

    Args:
        x: (m,) mixture.
        others: (n, m) mixtures.

    Returns:
        (n,) distances in [0, 1].
    """
    distances: FloatArray = np.abs(others - np.asarray(x)).sum(axis=-1) / 2
    return distances


@dataclass(frozen=True, eq=False)
class MixtureSpace:
    """Mixtures over named domains with a lower and an upper weight each.

    Raises:
        ValueError: the bounds contradict each other; the message names the domains.
    """

    domains: tuple[str, ...]
    lower: FloatArray
    upper: FloatArray

    def __post_init__(self) -> None:
        m = len(self.domains)
        for name in ("lower", "upper"):
            bound = np.array(getattr(self, name), dtype=float)
            if bound.shape != (m,):
                raise ValueError(f"{name} has shape {bound.shape}; {m} domains need ({m},)")
            bound.setflags(write=False)
            object.__setattr__(self, name, bound)
        if m == 0:
            raise ValueError("a mixture needs at least one domain")
        for name, low, high in zip(self.domains, self.lower, self.upper, strict=True):
            if not 0 <= low <= high <= 1:
                raise ValueError(f"bounds of {name!r} are {low:g} to {high:g}, not within 0 to 1")
        if self.lower.sum() > 1 + 1e-12:
            named = [d for d, low in zip(self.domains, self.lower, strict=True) if low > 0]
            raise ValueError(
                f"lower weights of {', '.join(named)} sum to {self.lower.sum():g}, above 1"
            )
        if self.upper.sum() < 1 - 1e-12:
            raise ValueError(
                f"upper weights of {', '.join(self.domains)} sum to {self.upper.sum():g}, below 1"
            )

    @classmethod
    def simplex(cls, domains: Sequence[str]) -> MixtureSpace:
        """All mixtures of these domains."""
        m = len(domains)
        return cls(tuple(domains), np.zeros(m), np.ones(m))

    @property
    def m(self) -> int:
        """Number of domains."""
        return len(self.domains)

    @property
    def uniform(self) -> FloatArray:
        """The feasible mixture nearest to equal weights."""
        return self.project(np.full(self.m, 1 / self.m))

    def contains(self, X: ArrayLike, tolerance: float = 1e-9) -> NDArray[np.bool_]:
        """Whether each mixture (..., m) is feasible up to `tolerance` in sum and bounds."""
        X = np.asarray(X, dtype=float)
        inside: NDArray[np.bool_] = (
            (np.abs(X.sum(axis=-1) - 1) <= tolerance)
            & np.all(self.lower - tolerance <= X, axis=-1)
            & np.all(self.upper + tolerance >= X, axis=-1)
        )
        return inside

    def project(self, y: ArrayLike) -> FloatArray:
        """The feasible mixture nearest to `y` (m,) in Euclidean distance.

        The projection is `clip(y - t, lower, upper)` with the `t` that makes it sum to 1; the sum
        falls piecewise linearly in `t` with kinks at `y - lower` and `y - upper`, so `t` is found
        exactly (Held, Wolfe and Crowder, 1974).
        """
        y = np.asarray(y, dtype=float)
        kinks = np.sort(np.concatenate([y - self.upper, y - self.lower]))
        sums = np.clip(y - kinks[:, None], self.lower, self.upper).sum(axis=1)
        # 1. The piece on which the sum crosses 1: sums fall along the kinks.
        after = int(np.searchsorted(-sums, -1.0))
        if after == 0:
            t = kinks[0]
        elif after == len(kinks):
            t = kinks[-1]
        else:
            # 2. Linear on the piece.
            drop = sums[after - 1] - sums[after]
            share = (sums[after - 1] - 1) / drop if drop > 0 else 0.0
            t = kinks[after - 1] + share * (kinks[after] - kinks[after - 1])
        x = np.clip(y - t, self.lower, self.upper)
        # 3. What rounding left goes where there is most room.
        rest = 1 - x.sum()
        room = (self.upper - x) if rest > 0 else (x - self.lower)
        x[int(np.argmax(room))] += rest
        return np.asarray(x, dtype=float)

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """(n, m) mixtures, uniform over the space.

        Exact where lower bounds alone bind (a shrunken simplex) or rejection succeeds often
        enough; else by hit-and-run (Smith, 1984), thinned.
        """
        free = 1 - self.lower.sum()
        if free <= 1e-12:
            return np.tile(self.project(self.lower), (n, 1))
        accepted = [np.empty((0, self.m))]
        n_accepted = n_tried = 0
        while n_accepted < n:
            batch = self.lower + free * rng.dirichlet(np.ones(self.m), size=max(64, 2 * n))
            kept = batch[np.all(batch <= self.upper, axis=1)]
            accepted.append(kept)
            n_accepted += len(kept)
            n_tried += len(batch)
            if n_tried >= 4096 and n_accepted < _ENOUGH_ACCEPTED * n_tried:
                return self._hit_and_run(n, rng)
        return np.concatenate(accepted)[:n]

    def _hit_and_run(self, n: int, rng: np.random.Generator) -> FloatArray:
        x = self._interior_point()
        thin, points = 10 * self.m, []
        for step in range(thin * (n + 10)):
            direction = rng.normal(size=self.m)
            direction[self.upper == self.lower] = 0.0
            movable = direction != 0
            if movable.sum() < 2:
                return np.tile(x, (n, 1))
            direction[movable] -= direction[movable].mean()
            with np.errstate(divide="ignore", invalid="ignore"):
                ends = np.stack([(self.lower - x) / direction, (self.upper - x) / direction])
            low = np.where(movable, ends.min(axis=0), -np.inf).max()
            high = np.where(movable, ends.max(axis=0), np.inf).min()
            x = x + rng.uniform(low, max(low, high)) * direction
            if step % thin == thin - 1:
                x = self.project(x)
                points.append(x)
        return np.array(points[-n:])

    def _interior_point(self) -> FloatArray:
        """The point that goes the same share of the way from lower to upper in every domain."""
        width = self.upper - self.lower
        share = (1 - self.lower.sum()) / width.sum()
        return self.project(self.lower + share * width)

    def vertices(self) -> FloatArray:
        """(v, m) corners: all domains but one at a bound.

        Raises:
            ValueError: more than 12 domains with bounds, too many corners to list.
        """
        if not self.lower.any() and np.all(self.upper == 1):
            return np.eye(self.m)
        if self.m > _MAX_EXACT_VERTICES:
            raise ValueError(f"{self.m} bounded domains have too many corners to list")
        corners = []
        for free in range(self.m):
            others = [i for i in range(self.m) if i != free]
            for ends in product((0, 1), repeat=self.m - 1):
                x = np.empty(self.m)
                x[others] = [
                    (self.lower, self.upper)[end][i] for end, i in zip(ends, others, strict=True)
                ]
                x[free] = 1 - x[others].sum()
                if self.lower[free] - 1e-12 <= x[free] <= self.upper[free] + 1e-12:
                    corners.append(self.project(x))
        return np.unique(np.round(np.array(corners), 15), axis=0)

    def maximise(
        self,
        score: Callable[[FloatArray], FloatArray],
        rng: np.random.Generator,
        *,
        also: FloatArray,
        n: int = 2000,
    ) -> FloatArray:
        """A mixture where `score` (k, m) -> (k,) is about highest.

        Global by corners, uniform samples and `also` (k, m), then local by samples around the best
        so far, in rounds that halve their reach.
        """
        starts = [self.sample(n, rng), self.uniform[None], also[self.contains(also)]]
        if self.m <= _MAX_EXACT_VERTICES:
            starts.append(self.vertices())
        points = np.concatenate(starts)
        best = points[int(np.argmax(score(points)))]
        reach = 0.25
        for _ in range(10):
            around = best + reach * rng.normal(size=(64, self.m)) / np.sqrt(self.m)
            points = np.array([best, *(self.project(x) for x in around)])
            best = points[int(np.argmax(score(points)))]
            reach /= 2
        return np.asarray(best, dtype=float)
