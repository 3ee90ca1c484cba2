"""The convex sets that mixture spaces are made of: bounds, a sum of 1, and linear limits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

# SciPy is imported where it computes: without it a command that only asks a service starts in half
# the time.

FloatArray = NDArray[np.float64]

TIGHT = 1e-9
"""A limit with less room than this holds with equality."""
NEAR = 1e-9
"""A weight this close to its bound is at it: rounding, which must not make a domain active."""
MAX_FACES = 150_000

_ENOUGH_ACCEPTED = 0.01
_CHAINS = 256
_NO_ROOM = 1e-12
"""Room that a chain keeps at a limit, where rounding may have left it less."""


def between(lower: FloatArray, upper: FloatArray) -> FloatArray:
    """(m,) the weights that are all as far on from their lower bound (m,) to the upper one, so that
    they sum to 1 if the bounds allow that at all."""
    room = upper - lower
    total = float(room.sum())
    on = (1 - float(lower.sum())) / total if total > 0 else 0.0
    found: FloatArray = lower + min(max(on, 0.0), 1.0) * room
    return found


@dataclass(frozen=True, eq=False)
class Faces:
    """n parts of a polytope, each where some of its limits are tight; all of one size.

    Attributes:
        free: (n, f) indices of the weights that are at no bound.
        at: (n, m) weights of the others; 0 for the free ones.
        rows: (n, t) indices of the linear limits that are tight; f > t.
    """

    free: NDArray[np.intp]
    at: FloatArray
    rows: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Polytope:
    """All x with `lower <= x <= upper`, `A x <= b` and `sum x = 1`; not empty.

    Attributes:
        lower, upper: (m,).
        A, b: (k, m) and (k,); k may be 0.
    """

    lower: FloatArray
    upper: FloatArray
    A: FloatArray
    b: FloatArray

    @property
    def m(self) -> int:
        return len(self.lower)

    @cached_property
    def is_empty(self) -> bool:
        if np.any(self.lower > self.upper):
            return True
        if self.lower.sum() > 1 + 1e-12 or self.upper.sum() < 1 - 1e-12:
            return True
        if np.all(self.A @ between(self.lower, self.upper) <= self.b):
            return False
        return self._highest(np.zeros(self.m)) is None

    def contains(self, X: ArrayLike, tolerance: float = 1e-9) -> NDArray[np.bool_]:
        """Whether each x (..., m) is inside, up to `tolerance` in every limit and the sum."""
        X = np.asarray(X, dtype=float)
        inside: NDArray[np.bool_] = (
            (np.abs(X.sum(axis=-1) - 1) <= tolerance)
            & np.all(self.lower - tolerance <= X, axis=-1)
            & np.all(self.upper + tolerance >= X, axis=-1)
            & np.all(self.b + tolerance >= X @ self.A.T, axis=-1)
        )
        return inside

    @cached_property
    def levels(self) -> NDArray[np.bool_]:
        """(2, k) which linear limits hold with equality, since the opposite of each is there, too:
        the first of such a pair, and the second."""
        opposite = np.all(self.A[:, None] + self.A == 0, axis=2) & (self.b[:, None] + self.b == 0)
        first = np.triu(opposite, 1)
        found: NDArray[np.bool_] = np.array([first.any(axis=1), first.any(axis=0)])
        return found

    # --- projection ---------------------------------------------------------------------------

    def project(self, Y: FloatArray) -> FloatArray:
        """The points nearest to each row of Y (n, m), in Euclidean distance.

        Bounds hold exactly, sums within 1e-12, linear limits within 1e-9.
        """
        X = self._project_onto_bounds(Y)
        for i in np.flatnonzero(np.any(self.b + 1e-12 < X @ self.A.T, axis=1)):
            X[i] = self._project_onto_all(Y[i])
        return X

    def _project_onto_bounds(self, Y: FloatArray) -> FloatArray:
        """`clip(y - t, lower, upper)` with the `t` that makes it sum to 1.

        The sum falls piecewise linearly in `t` with kinks at `y - upper` and `y - lower`, so `t`
        is found exactly (Held, Wolfe and Crowder, 1974).
        """
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
        before = sums(start)
        drop = before - sums(end)
        share = np.divide(before - 1, drop, out=np.zeros(len(Y)), where=drop > 0)
        t = start + np.clip(share, 0, 1) * (end - start)
        return self._rounded(np.clip(Y - t[:, None], self.lower, self.upper))

    def _rounded(self, X: FloatArray) -> FloatArray:
        """Exactly within bounds; what rounding left of the sum goes where there is most room."""
        X = np.where(
            self.lower + NEAR > X, self.lower, np.where(self.upper - NEAR < X, self.upper, X)
        )
        rest = 1 - X.sum(axis=1)
        room = np.where(rest[:, None] > 0, self.upper - X, X - self.lower)
        # A weight at a bound stays there, unless all are.
        moved = (self.lower < X) & (self.upper > X)
        rows, widest = np.arange(len(X)), np.argmax(np.where(moved, 1 + room, room), axis=1)
        X[rows, widest] += np.clip(rest, -room[rows, widest], room[rows, widest])
        return X

    def _rounded_one(self, x: FloatArray) -> FloatArray:
        rounded: FloatArray = self._rounded(x[None])[0]
        return rounded

    def _project_onto_all(self, y: FloatArray) -> FloatArray:
        """Least distance programming (Lawson and Hanson, 1974, chapter 23): one NNLS."""
        from scipy.linalg import null_space
        from scipy.optimize import nnls

        # 1. In coordinates of the plane `sum = 1`: least |u| with `H u >= q`.
        G, h = self._inequalities
        origin = y + (1 - y.sum()) / self.m
        basis = null_space(np.ones((1, self.m)))
        H, q = G @ basis, h - G @ origin
        # 2. Its dual is a non-negative least squares problem.
        E = np.vstack([H.T, q])
        target = np.zeros(self.m)
        target[-1] = 1.0
        multipliers, _ = nnls(E, target, maxiter=30 * len(h))
        # 3. The tight limits are known now; the nearest point on them is plain algebra.
        tight = np.vstack([np.ones(self.m), G[multipliers > 1e-12]])
        level = np.concatenate([[1.0], h[multipliers > 1e-12]])
        x = y + np.linalg.lstsq(tight, level - tight @ y, rcond=None)[0]
        return self._rounded_one(x)

    @cached_property
    def _inequalities(self) -> tuple[FloatArray, FloatArray]:
        """G (2m + k, m) and h with `G x >= h`: bounds and linear limits."""
        eye = np.eye(self.m)
        return np.vstack([eye, -eye, -self.A]), np.concatenate([self.lower, -self.upper, -self.b])

    # --- inside -------------------------------------------------------------------------------

    @cached_property
    def _hull(self) -> tuple[FloatArray, FloatArray]:
        """A point (m,) of the relative interior and a basis (m, d) of the directions within."""
        from scipy.linalg import null_space

        G, h = self._inequalities
        if len(self.b) == 0:
            inner = between(self.lower, self.upper)
            slack = G @ inner - h
        else:
            # The sum of slacks, each counted up to a little: those left without any are tight.
            slack = self._most_room(np.full(len(h), 1e-6), together=False)[1]
            is_open = (slack > TIGHT).astype(float)
            inner, _ = self._most_room(is_open, together=True)
        tight = np.vstack([np.ones(self.m), G[slack <= TIGHT]])
        return self._rounded_one(inner), np.asarray(null_space(tight), dtype=float)

    def _most_room(self, weight: FloatArray, *, together: bool) -> tuple[FloatArray, FloatArray]:
        """The point with most slack: the least slack of those weighed, or their capped sum."""
        from scipy.optimize import linprog

        G, h = self._inequalities
        n = len(h)
        if together:
            extra, cost, upper = weight[:, None], np.array([-1.0]), [(0.0, 1.0)]
        else:
            extra, cost, upper = np.eye(n), -np.ones(n), [(0.0, w) for w in weight]
        found = linprog(
            np.concatenate([np.zeros(self.m), cost]),
            A_ub=np.hstack([-G, extra]),
            b_ub=-h,
            A_eq=np.concatenate([np.ones(self.m), np.zeros(extra.shape[1])])[None],
            b_eq=[1.0],
            bounds=[(None, None)] * self.m + upper,
        )
        x = np.asarray(found.x[: self.m], dtype=float)
        return x, np.asarray(found.x[self.m :], dtype=float)

    def _highest(self, slope: FloatArray) -> FloatArray | None:
        """A point where `slope . x` is highest; None when there is no point at all."""
        from scipy.optimize import linprog

        found = linprog(
            -slope,
            A_ub=self.A if len(self.b) else None,
            b_ub=self.b if len(self.b) else None,
            A_eq=np.ones((1, self.m)),
            b_eq=[1.0],
            bounds=list(zip(self.lower, self.upper, strict=True)),
        )
        return None if found.status != 0 else np.asarray(found.x, dtype=float)

    def support(self, slope: FloatArray) -> FloatArray:
        """(m,) a point of the polytope where `slope . x` is highest."""
        if len(self.b):
            highest = self._highest(slope)
            assert highest is not None  # noqa: S101 -- not empty
            return self._rounded_one(highest)
        x = np.array(self.lower)
        rest = 1 - x.sum()
        for i in np.argsort(-slope, kind="stable"):
            step = min(rest, self.upper[i] - x[i])
            x[i] += step
            rest -= step
        return self._rounded_one(x)

    @property
    def centre(self) -> FloatArray:
        """(m,) a point well inside."""
        return self._hull[0]

    @property
    def dimension(self) -> int:
        return int(self._hull[1].shape[1])

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """(n, m) points, uniform.

        Exact where no upper bound and no linear limit binds (a shrunken simplex) or where
        rejection succeeds often enough; else by hit-and-run.
        """
        movable = np.flatnonzero(self.upper > self.lower)
        free = 1 - self.lower.sum()
        if self.dimension == 0:
            return np.tile(self.centre, (n, 1))
        accepted = [np.empty((0, self.m))]
        n_accepted = n_tried = 0
        while n_accepted < n:
            batch = np.tile(self.lower, (max(64, 2 * n), 1))
            batch[:, movable] += free * rng.dirichlet(np.ones(len(movable)), size=len(batch))
            inside = np.all(batch <= self.upper, axis=1) & np.all(
                batch @ self.A.T <= self.b, axis=1
            )
            accepted.append(batch[inside])
            n_accepted += int(inside.sum())
            n_tried += len(batch)
            if n_tried >= 4096 and n_accepted < _ENOUGH_ACCEPTED * n_tried:
                return self._hit_and_run(n, rng)
        return self.project(np.concatenate(accepted)[:n])

    def _hit_and_run(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Chains side by side from an inner point (Smith, 1984), thinned."""
        inner, basis = self._hull
        G, h = self._inequalities
        moving = G @ basis
        limits = np.linalg.norm(moving, axis=1) > TIGHT
        moving = moving[limits]
        n_chains, d = min(n, _CHAINS), basis.shape[1]
        z = np.zeros((n_chains, d))
        room = np.tile((G @ inner - h)[limits], (n_chains, 1))
        rounds = []
        for n_steps in [20 * d] + [10 * d] * ((n - 1) // n_chains):
            for _ in range(n_steps):
                direction = rng.normal(size=z.shape)
                speed = direction @ moving.T
                # The rates at which limits come nearer, by which the ends are 1 over the greatest.
                rate = speed / np.maximum(room, _NO_ROOM)
                low, high = -1 / rate.max(axis=1), -1 / rate.min(axis=1)
                step = rng.uniform(low, high)[:, None]
                z += step * direction
                room += step * speed
            rounds.append(z.copy())
        return self.project(inner + np.concatenate(rounds)[:n] @ basis.T)

    # --- faces --------------------------------------------------------------------------------

    @cached_property
    def _binding(self) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        """Which upper bounds (m,), and indices of which linear limits, can hold with equality."""
        movable = self.upper > self.lower
        others = 1 - (self.lower.sum() - self.lower)
        uppers = movable & (self.upper < others - 1e-12)
        rows = [
            k
            for k, (row, level) in enumerate(zip(self.A, self.b, strict=True))
            if float(row @ self.support(row)) >= level - TIGHT
        ]
        return uppers, np.array(rows, dtype=np.intp)

    def n_faces(self) -> int:
        """How many candidates `faces` would go through; an upper limit on the true faces."""
        uppers, rows = self._binding
        movable = int(np.count_nonzero(self.upper > self.lower))
        n_upper = int(np.count_nonzero(uppers))
        return int(2.0 ** min(62, movable - n_upper + len(rows)) * min(3.0**n_upper, 1e15))

    @cached_property
    def faces(self) -> list[Faces]:
        """All faces, and some empty sets that look like faces, by size.

        Raises:
            ValueError: more than `MAX_FACES` candidates.
        """
        if self.n_faces() > MAX_FACES:
            raise ValueError(f"{self.n_faces():,} faces are too many to list")
        uppers, limits = self._binding
        movable = np.flatnonzero(self.upper > self.lower)
        kinds = [(0, 1, 2) if uppers[i] else (0, 1) for i in movable]
        # 0: at the lower bound, 1: free, 2: at the upper bound.
        chosen = np.array(list(product(*kinds)), dtype=np.intp).reshape(-1, len(movable))
        ends = np.stack([self.lower, np.zeros(self.m), self.upper])[:, movable]
        at = np.tile(self.lower, (len(chosen), 1))
        at[:, movable] = np.take_along_axis(ends, chosen, axis=0)
        found = []
        for f in range(1, len(movable) + 1):
            of_size = (chosen == 1).sum(axis=1) == f
            free = movable[np.nonzero(chosen[of_size] == 1)[1].reshape(-1, f)]
            for t in range(min(f, len(limits) + 1)):
                rows = np.array(list(combinations(limits, t)), dtype=np.intp)
                rows = rows.reshape(comb(len(limits), t), t)
                found.append(
                    Faces(
                        np.repeat(free, len(rows), axis=0),
                        np.repeat(at[of_size], len(rows), axis=0),
                        np.tile(rows, (len(free), 1)),
                    )
                )
        return found

    def n_vertices(self) -> int:
        """How many candidates `vertices` would go through."""
        uppers, rows = self._binding
        movable = int(np.count_nonzero(self.upper > self.lower))
        if not uppers.any() and len(rows) == 0:
            return max(1, movable)
        k = len(rows)
        return sum(
            comb(k, t) * comb(movable, t + 1) * 2 ** max(0, movable - t - 1)
            for t in range(min(k, movable - 1) + 1)
        )

    def vertices(self) -> FloatArray:
        """(v, m) corners.

        Raises:
            ValueError: more than `MAX_FACES` candidates.
        """
        if self.dimension == 0:
            return self.centre[None]
        uppers, limits = self._binding
        movable = np.flatnonzero(self.upper > self.lower)
        if not uppers.any() and len(limits) == 0:
            reach = (1 - self.lower.sum()) * np.eye(self.m)[movable]
            return self._rounded(self.lower + reach)
        if self.n_vertices() > MAX_FACES:
            raise ValueError(f"{len(movable)} bounded domains have too many corners to list")
        found = [np.empty((0, self.m))]
        for t in range(min(len(limits), len(movable) - 1) + 1):
            for free in combinations(movable, t + 1):
                others = np.setdiff1d(movable, free)
                ends = np.array(list(product((False, True), repeat=len(others)))).reshape(
                    2 ** len(others), len(others)
                )
                X = np.tile(self.lower, (len(ends), 1))
                X[:, others] = np.where(ends, self.upper[others], self.lower[others])
                X[:, free] = 0.0
                for rows in combinations(limits, t):
                    M = np.vstack([np.ones(t + 1), self.A[np.ix_(rows, free)]])
                    if abs(np.linalg.det(M)) < 1e-12:
                        continue
                    rest = np.column_stack(
                        [1 - X.sum(axis=1), self.b[list(rows)] - X @ self.A[list(rows)].T]
                    )
                    corners = X.copy()
                    corners[:, free] = np.linalg.solve(M, rest.T).T
                    found.append(corners[self.contains(corners, 1e-10)])
        X = self._rounded(np.concatenate(found))
        _, kept = np.unique(np.round(X, 10), axis=0, return_index=True)
        return X[np.sort(kept)]
