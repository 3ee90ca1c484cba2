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

_MAX_LISTED = 12
_ENOUGH_ACCEPTED = 0.01
_CHAINS = 256


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
        """The feasible mixtures nearest to `y`, (m,) or (n, m), in Euclidean distance.

        Bounds hold exactly, sums within 1e-12. The projection is `clip(y - t, lower, upper)` with
        the `t` that makes it sum to 1; the sum falls piecewise linearly in `t` with kinks at
        `y - upper` and `y - lower`, so `t` is found exactly (Held, Wolfe and Crowder, 1974).
        """
        Y = np.asarray(y, dtype=float)
        if Y.ndim == 1:
            only: FloatArray = self.project(Y[None])[0]
            return only
        rows = np.arange(len(Y))
        kinks = np.sort(np.hstack([Y - self.upper, Y - self.lower]), axis=1)

        def sums(t: FloatArray) -> FloatArray:
            total: FloatArray = np.clip(Y - t[:, None], self.lower, self.upper).sum(axis=1)
            return total

        # 1. The piece on which the sum crosses 1, by halving: it falls along the kinks.
        first, last = np.zeros(len(Y), dtype=int), np.full(len(Y), 2 * self.m - 1)
        while np.any(last - first > 1):
            middle = (first + last) // 2
            is_above = sums(kinks[rows, middle]) >= 1
            first, last = np.where(is_above, middle, first), np.where(is_above, last, middle)
        # 2. Linear on the piece.
        start, end = kinks[rows, first], kinks[rows, last]
        before, drop = sums(start), sums(start) - sums(end)
        share = np.divide(before - 1, drop, out=np.zeros(len(Y)), where=drop > 0)
        t = start + np.clip(share, 0, 1) * (end - start)
        X: FloatArray = np.clip(Y - t[:, None], self.lower, self.upper)
        # 3. What rounding left goes where there is most room.
        rest = 1 - X.sum(axis=1)
        room = np.where(rest[:, None] > 0, self.upper - X, X - self.lower)
        widest = np.argmax(room, axis=1)
        X[rows, widest] += np.clip(rest, -room[rows, widest], room[rows, widest])
        return X

    @property
    def _movable(self) -> NDArray[np.intp]:
        """Domains whose weight is not pinned."""
        return np.flatnonzero(self.upper > self.lower)

    @property
    def _is_shrunken_simplex(self) -> bool:
        """Whether no upper bound binds, but for pinned domains."""
        free = 1 - self.lower.sum()
        movable = self._movable
        return bool(np.all(self.lower[movable] + free <= self.upper[movable]))

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """(n, m) mixtures, uniform over the space.

        Exact where no upper bound binds (a shrunken simplex) or where rejection succeeds often
        enough; else by hit-and-run.
        """
        movable = self._movable
        free = 1 - self.lower.sum()
        if free <= 1e-12 or len(movable) < 2:
            return np.tile(self.project(self.lower), (n, 1))
        accepted = [np.empty((0, self.m))]
        n_accepted = n_tried = 0
        while n_accepted < n:
            batch = np.tile(self.lower, (max(64, 2 * n), 1))
            batch[:, movable] += free * rng.dirichlet(np.ones(len(movable)), size=len(batch))
            kept = batch[np.all(batch <= self.upper, axis=1)]
            accepted.append(kept)
            n_accepted += len(kept)
            n_tried += len(batch)
            if n_tried >= 4096 and n_accepted < _ENOUGH_ACCEPTED * n_tried:
                return self._hit_and_run(n, rng)
        return self.project(np.concatenate(accepted)[:n])

    def _hit_and_run(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Chains side by side from an inner point (Smith, 1984), thinned."""
        movable = self._movable
        lower, upper = self.lower[movable], self.upper[movable]
        n_chains = min(n, _CHAINS)
        x = np.tile(self._interior_point()[movable], (n_chains, 1))
        rounds = []
        for n_steps in [20 * len(movable)] + [10 * len(movable)] * ((n - 1) // n_chains):
            for _ in range(n_steps):
                direction = rng.normal(size=x.shape)
                direction -= direction.mean(axis=1, keepdims=True)
                to_lower, to_upper = (lower - x) / direction, (upper - x) / direction
                low = np.minimum(to_lower, to_upper).max(axis=1)
                high = np.maximum(to_lower, to_upper).min(axis=1)
                x = x + rng.uniform(low, np.maximum(low, high))[:, None] * direction
            rounds.append(x)
        X = np.tile(self.lower, (n, 1))
        X[:, movable] = np.concatenate(rounds)[:n]
        return self.project(X)

    def _interior_point(self) -> FloatArray:
        """The point that goes the same share of the way from lower to upper in every domain."""
        width = self.upper - self.lower
        share = (1 - self.lower.sum()) / width.sum()
        return self.project(self.lower + share * width)

    def vertices(self) -> FloatArray:
        """(v, m) corners: all domains but one at a bound.

        Raises:
            ValueError: more than 12 domains with upper bounds, too many corners to list.
        """
        movable = self._movable
        if len(movable) < 2:
            return self.project(self.lower)[None]
        if self._is_shrunken_simplex:
            return self.project(self.lower + (1 - self.lower.sum()) * np.eye(self.m)[movable])
        if not self.has_listed_vertices:
            raise ValueError(f"{len(movable)} bounded domains have too many corners to list")
        ends = np.array(list(product((False, True), repeat=len(movable) - 1)))
        corners = [np.empty((0, self.m))]
        for free in movable:
            others = movable[movable != free]
            X = np.tile(self.lower, (len(ends), 1))
            X[:, others] = np.where(ends, self.upper[others], self.lower[others])
            X[:, free] = 0.0
            X[:, free] = 1 - X.sum(axis=1)
            corners.append(X[self.contains(X, 1e-12)])
        found = self.project(np.concatenate(corners))
        _, kept = np.unique(np.round(found, 12), axis=0, return_index=True)
        return found[np.sort(kept)]

    @property
    def has_listed_vertices(self) -> bool:
        """Whether `vertices` can list them all."""
        return self._is_shrunken_simplex or len(self._movable) <= _MAX_LISTED

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
        starts = [self.sample(n, rng), self.uniform[None], self.project(also)]
        if self.has_listed_vertices:
            starts.append(self.vertices())
        points = np.concatenate(starts)
        best = points[int(np.argmax(score(points)))]
        reach = 0.25
        for _ in range(10):
            around = best + reach * rng.normal(size=(64, self.m)) / np.sqrt(self.m)
            points = np.vstack([best, self.project(around)])
            best = points[int(np.argmax(score(points)))]
            reach /= 2
        return np.asarray(best, dtype=float)
