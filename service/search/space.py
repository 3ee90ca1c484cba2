"""The mixture space: weights over named domains that sum to 1, within everything the user asks.

Bounds and linear limits make one convex polytope. A limit on the number of active domains, or
"zero or at least this much", makes a union of them: one cell for each choice of active domains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.search.cells import FEW_CELLS, MAX_CELLS, Cells
from service.search.feasibility import Demands, contradiction, feasible_choice
from service.search.limits import LinearLimit
from service.search.polytope import FloatArray, Polytope
from service.search.similarity import Similarity

__all__ = [
    "SAME",
    "FloatArray",
    "LinearLimit",
    "MixtureSpace",
    "expected_steps",
    "total_variation",
]

SAME = 0.005
"""Two mixtures closer than this in total variation train on the same data but for a few samples."""

ACTIVE = 1e-9
"""A domain with less weight than this is not used."""

MAX_LISTED = 5000
"""Corners of the space, if there are no more than this, are among the starts of a search."""


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
    """Mixtures over named domains.

    Attributes:
        lower, upper: (m,) least and greatest weights.
        limits: linear limits.
        max_active: most domains with a weight above 0.
        zero_or_at_least: (m,) a domain that is used gets at least this; 0 for no such rule.
        similarity: how alike the domains are said to be; None where nothing is said.

    Raises:
        ValueError: nothing satisfies all of it; the message names what contradicts each other.
    """

    domains: tuple[str, ...]
    lower: FloatArray
    upper: FloatArray
    limits: tuple[LinearLimit, ...] = ()
    max_active: int | None = None
    zero_or_at_least: FloatArray = field(default_factory=lambda: np.zeros(0))
    similarity: Similarity | None = None

    def __post_init__(self) -> None:
        m = len(self.domains)
        if m == 0:
            raise ValueError("a mixture needs at least one domain")
        if len(self.zero_or_at_least) == 0:
            object.__setattr__(self, "zero_or_at_least", np.zeros(m))
        for name in ("lower", "upper", "zero_or_at_least"):
            bound = np.array(getattr(self, name), dtype=float)
            if bound.shape != (m,):
                raise ValueError(f"{name} has shape {bound.shape}; {m} domains need ({m},)")
            bound.setflags(write=False)
            object.__setattr__(self, name, bound)
        for name, low, high, least in zip(
            self.domains, self.lower, self.upper, self.zero_or_at_least, strict=True
        ):
            if low > high:
                raise ValueError(
                    f"bounds of {name!r} are in the wrong order: the lower one, {low:g}, is above "
                    f"the upper one, {high:g}"
                )
            if not 0 <= low <= high <= 1:
                raise ValueError(f"bounds of {name!r} are {low:g} to {high:g}, not within 0 to 1")
            if not 0 <= least <= 1:
                raise ValueError(f"{name!r}: zero or at least {least:g} is not within 0 to 1")
        if self.max_active is not None and self.max_active < 1:
            raise ValueError(f"at most {self.max_active} active domains leaves none; at least 1")
        for limit in self.limits:
            unknown = sorted(set(limit.coefficients) - set(self.domains))
            if unknown:
                raise ValueError(
                    f"limit {limit.name!r} names unknown domain {unknown[0]!r} "
                    f"(known: {', '.join(self.domains)})"
                )
        if feasible_choice(self._demands) is None:
            names = tuple(limit.name for limit in self.limits)
            raise ValueError(contradiction(self._demands, self.domains, names))

    @classmethod
    def simplex(cls, domains: Sequence[str]) -> MixtureSpace:
        """All mixtures of these domains."""
        m = len(domains)
        return cls(tuple(domains), np.zeros(m), np.ones(m))

    def within_reach(
        self, samples: Sequence[float | None], prompts: float, epochs: float = 1.0
    ) -> MixtureSpace:
        """The part of the space that a run can finish without running out of unseen samples.

        A run of `prompts` prompts (steps times prompts a step) asks a domain for `w * prompts`
        samples; it has `epochs` times its `samples` (None: endless).

        Raises:
            ValueError: no mixture lets a run finish.
        """
        most = [1.0 if s is None else min(1.0, epochs * s / prompts) for s in samples]
        upper = np.minimum(self.upper, most)
        short = [
            d for d, new, old in zip(self.domains, upper, self.upper, strict=True) if new < old
        ]
        if np.any(upper < self.lower):
            i = int(np.argmax(self.lower - upper))
            raise ValueError(
                f"{self.domains[i]!r} has samples for a weight of {upper[i]:.3g} in a run of "
                f"{prompts:g} prompts, below its lower weight {self.lower[i]:g}"
            )
        try:
            return replace(self, upper=upper)
        except ValueError as error:
            raise ValueError(
                f"within reach of {prompts:g} prompts ({', '.join(short)} are limited by their "
                f"samples): {error}"
            ) from None

    # --- what it is made of -------------------------------------------------------------------

    @property
    def of_means(self) -> MixtureSpace:
        """What the mixtures of whole runs may be: this space, unless it is one of schedules."""
        return self

    def and_plainer(self, X: FloatArray) -> FloatArray:
        """(n, m) points with what they would be without changes on the way: here they have none."""
        return X

    @property
    def m(self) -> int:
        """Number of domains."""
        return len(self.domains)

    def named(self, weights: FloatArray) -> dict[str, float]:
        """A mixture (m,) by the names of its domains."""
        return dict(zip(self.domains, map(float, weights), strict=True))

    @cached_property
    def relaxed(self) -> Polytope:
        """Bounds and linear limits alone; the whole space where it is convex."""
        asked = self._demands
        # A domain that must be used has what a used domain has at least.
        must = self.lower > ACTIVE
        lower = np.where(must, np.maximum(self.lower, self.zero_or_at_least), self.lower)
        return Polytope(lower, self.upper, asked.A, asked.b)

    @property
    def _demands(self) -> Demands:
        rows = [[limit.coefficients.get(d, 0.0) for d in self.domains] for limit in self.limits]
        return Demands(
            self.lower,
            self.upper,
            self.zero_or_at_least,
            np.array(rows, dtype=float).reshape(len(rows), self.m),
            np.array([limit.at_most for limit in self.limits], dtype=float),
            self.max_active if self._limits_active else None,
        )

    @property
    def _limits_active(self) -> bool:
        return self.max_active is not None and self.max_active < int((self.upper > 0).sum())

    @cached_property
    def _cells(self) -> Cells:
        return Cells(self.relaxed, self._demands)

    @property
    def is_convex(self) -> bool:
        return self._cells.is_one

    def cell_of(self, x: FloatArray) -> Polytope:
        """The convex part that a feasible mixture (m,) lies in."""
        return self.relaxed if self.is_convex else self._cells.cell(x > 0)

    def n_cells(self) -> int:
        """How many choices of domains `cells` goes through."""
        return self._cells.n

    def cells(self) -> Iterator[Polytope]:
        """The convex parts, none of them empty.

        Raises:
            ValueError: more than `MAX_CELLS` choices of domains.
        """
        return self._cells.all()

    def listed(self) -> FloatArray | None:
        """(k, m) the only mixtures there are, where the space is a list; else None."""
        return None

    # --- points -------------------------------------------------------------------------------

    @property
    def uniform(self) -> FloatArray:
        """The feasible mixture nearest to equal weights."""
        return self.project(np.full(self.m, 1 / self.m))

    @cached_property
    def dimension(self) -> int:
        """In how many independent directions a mixture can change; 0 for a single point."""
        if self.is_convex:
            return self.relaxed.dimension
        return self.m - 1 if self.n_cells() > MAX_CELLS else max(c.dimension for c in self.cells())

    def contains(self, X: ArrayLike, tolerance: float = 1e-9) -> NDArray[np.bool_]:
        """Whether each mixture (..., m) is feasible up to `tolerance` in every limit."""
        X = np.asarray(X, dtype=float)
        used = tolerance + ACTIVE < X
        inside: NDArray[np.bool_] = self.relaxed.contains(X, tolerance)
        if self.max_active is not None:
            inside = inside & (used.sum(axis=-1) <= self.max_active)
        stepped: NDArray[np.bool_] = np.all(~used | (self._cells.steps - tolerance <= X), axis=-1)
        return inside & stepped

    def broken_by(self, x: FloatArray, tolerance: float = 1e-6) -> list[str]:
        """What a mixture (m,) does not satisfy, in words; bounds and sum are not looked at."""
        found = []
        for limit, row, level in zip(self.limits, self.relaxed.A, self.relaxed.b, strict=True):
            if float(row @ x) > level + tolerance:
                found.append(f"it breaks {limit.name!r}")
        used = int((x > tolerance).sum())
        if self.max_active is not None and used > self.max_active:
            found.append(f"it uses {used} domains, more than {self.max_active}")
        found += [
            f"{domain} has {weight:.4g}, neither zero nor at least {least:g}"
            for domain, weight, least in zip(self.domains, x, self._cells.steps, strict=True)
            if tolerance < weight < least - tolerance
        ]
        return found

    def project(self, y: ArrayLike) -> FloatArray:
        """Feasible mixtures near `y`, (m,) or (n, m): bounds exactly, sums within 1e-12.

        In a convex space the nearest in Euclidean distance. With a limit on active domains, the
        nearest that uses the domains with most weight: still the nearest of all where that limit is
        the only one (Kyrillidis et al., "Sparse projections onto the simplex", 2013). What
        has a least weight when used is rounded down to zero or up to that, whichever is closer.
        """
        Y = np.asarray(y, dtype=float)
        if Y.ndim == 1:
            only: FloatArray = self.project(Y[None])[0]
            return only
        X = self.relaxed.project(Y)
        for i in np.flatnonzero(~self.contains(X, 1e-12)) if not self.is_convex else ():
            X[i] = self._cells.cell(self._cells.near(Y[i], X[i])).project(Y[i][None])[0]
        return X

    def within(self, X: FloatArray) -> FloatArray:
        """(k, m) mixtures, those that are not feasible moved as `project` does: of runs from before
        the space was another."""
        outside = ~self.contains(X, 1e-6)
        if not outside.any():
            return X
        moved = X.copy()
        moved[outside] = self.project(X[outside])
        return moved

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """(n, m) mixtures, uniform over a convex space.

        In others, each is uniform over a random choice of as many domains as may be active, then
        moved to zero or up to the least weight where a used domain has one.
        """
        if self.is_convex:
            return self.relaxed.sample(n, rng)
        if not self._limits_active:
            return self.project(self.relaxed.sample(n, rng))
        # 1. A choice for each.
        if self.n_cells() <= FEW_CELLS:
            cells = self._cells.few()
            drawn = rng.integers(len(cells), size=n)
            parts = [cell.sample(int((drawn == k).sum()), rng) for k, cell in enumerate(cells)]
            return np.concatenate(parts)[np.argsort(np.argsort(drawn, kind="stable"))]
        wanted = rng.random((n, self.m))
        choices = np.array([self._cells.near(y, y) for y in wanted / wanted.sum(axis=1)[:, None]])
        # 2. Points within each choice, many at once.
        X = np.empty((n, self.m))
        kinds, kind = np.unique(choices, axis=0, return_inverse=True)
        for k, used in enumerate(kinds):
            rows = np.flatnonzero(kind.reshape(-1) == k)
            X[rows] = self._cells.relaxed_cell(used).sample(len(rows), rng)
        return self.project(X)

    def vertices(self) -> FloatArray:
        """(v, m) corners of all convex parts.

        Raises:
            ValueError: too many to list.
        """
        found = np.concatenate([cell.vertices() for cell in self.cells()])
        _, kept = np.unique(np.round(found, 10), axis=0, return_index=True)
        return found[np.sort(kept)]

    @cached_property
    def has_listed_vertices(self) -> bool:
        """Whether `vertices` lists them all, and they are few enough to try them all."""
        if self.n_cells() > MAX_CELLS // 100:
            return False
        return sum(cell.n_vertices() for cell in self.cells()) <= MAX_LISTED

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


def expected_steps(
    weights: FloatArray, samples: Sequence[float | None], prompts_per_step: float, epochs: float = 1
) -> tuple[float, int | None]:
    """After how many steps a run of this mixture runs out of unseen samples, and of which domain.

    The paper's `min_i |D_i| / (2 w_i)` at 2 prompts a step; infinite and None where none does.
    """
    known = [
        (epochs * s / (prompts_per_step * w), i)
        for i, (w, s) in enumerate(zip(weights, samples, strict=True))
        if s is not None and w > ACTIVE
    ]
    return min(known, default=(np.inf, None))
