"""The convex parts of a space that is not convex itself: one cell for each choice of domains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from math import comb

import numpy as np
from numpy.typing import NDArray

from service.search.feasibility import Demands, feasible_choice
from service.search.polytope import FloatArray, Polytope

MAX_CELLS = 20_000
FEW_CELLS = 256
"""Convex parts, if there are no more than this, are gone through for a single point."""


@dataclass(frozen=True, eq=False)
class Cells:
    """All cells of a space.

    Attributes:
        relaxed: bounds and linear limits alone.
        demands: those, and what makes the space not convex.
    """

    relaxed: Polytope
    demands: Demands

    @property
    def m(self) -> int:
        """Number of domains."""
        return self.relaxed.m

    @cached_property
    def steps(self) -> FloatArray:
        """(m,) the least weight of each domain that need not be used, where it is; else 0."""
        least = self.demands.least_if_used
        return np.where(least > self.relaxed.lower, least, 0.0)

    @property
    def is_one(self) -> bool:
        """Whether the relaxed space is all there is."""
        return not (self._limits_active or self.steps.any())

    @property
    def n(self) -> int:
        """How many choices of domains `all` goes through."""
        if self.is_one:
            return 1
        steps, most = int(np.count_nonzero(self.steps)), self._most
        if not self._limits_active:
            return int(2 ** min(steps, 62))
        return comb(self.m, most) * (1 if steps == 0 else int(2 ** min(steps, most)))

    def all(self) -> Iterator[Polytope]:
        """Those that are not empty.

        Raises:
            ValueError: more than `MAX_CELLS` choices of domains.
        """
        if self.is_one:
            yield self.relaxed
            return
        for used in self._choices():
            yield self.cell(used)

    def few(self) -> list[Polytope]:
        """All of them where they are few enough to go through for one point; else one."""
        return [self.cell(choice) for choice in self._few_choices]

    def cell(self, used: NDArray[np.bool_]) -> Polytope:
        """The mixtures without the domains that are not `used` (m,).

        Of the used ones, those with a least weight have at least that.
        """
        return self._part(used, np.where(used, self.steps, 0.0))

    def relaxed_cell(self, used: NDArray[np.bool_]) -> Polytope:
        """The same with no least weights: what is used may be as little as the bounds allow."""
        return self._part(used, np.zeros(self.m))

    def _part(self, used: NDArray[np.bool_], least: FloatArray) -> Polytope:
        key = used.tobytes() + least.tobytes()
        if key not in self._known_parts:
            relaxed = self.relaxed
            lower = np.maximum(relaxed.lower, least)
            upper = np.where(used, relaxed.upper, 0.0)
            self._known_parts[key] = Polytope(lower, upper, relaxed.A, relaxed.b)
        return self._known_parts[key]

    @cached_property
    def _known_parts(self) -> dict[bytes, Polytope]:
        return {}

    @property
    def _limits_active(self) -> bool:
        return self.demands.max_active is not None

    @property
    def _most(self) -> int:
        """Domains that are used at most."""
        return self.m if self.demands.max_active is None else self.demands.max_active

    def _choices(self) -> Iterator[NDArray[np.bool_]]:
        """(m,) the domains used in each of `all`.

        Raises:
            ValueError: more than `MAX_CELLS` choices of domains.
        """
        if self.n > MAX_CELLS:
            raise ValueError(f"{self.n:,} choices of domains are too many to go through")
        seen: set[bytes] = set()
        forced = self.relaxed.lower > 0
        stepped = np.flatnonzero(self.steps)
        for chosen in combinations(range(self.m), self._most):
            allowed = np.zeros(self.m, dtype=bool)
            allowed[list(chosen)] = True
            if np.any(forced & ~allowed):
                continue
            optional = stepped[allowed[stepped]]
            for kind in product((True, False), repeat=len(optional)):
                used = allowed.copy()
                used[optional] = kind
                key = used.tobytes()
                if key not in seen and not self.cell(used).is_empty:
                    seen.add(key)
                    yield used

    @cached_property
    def _few_choices(self) -> list[NDArray[np.bool_]]:
        if self.n <= FEW_CELLS:
            return list(self._choices())
        possible = feasible_choice(self.demands)
        assert possible is not None  # noqa: S101 -- the space is not empty
        return [possible]

    def near(self, y: FloatArray, x: FloatArray) -> NDArray[np.bool_]:
        """(m,) the domains to use near `y`, whose projection onto the relaxed space is `x`."""
        steps = self.steps
        # 1. The domains with most weight, those that must be used first.
        used = self.relaxed.upper > 0
        if self._limits_active:
            rank = np.lexsort((-y, -x, -(self.relaxed.lower > 0).astype(float)))
            used = np.zeros(self.m, dtype=bool)
            used[rank[: self._most]] = True
            used &= self.relaxed.upper > 0
        # 2. Small weights go to zero, the smallest against its least weight first.
        stepped = used & (steps > 0)
        while True:
            free = self.relaxed_cell(used)
            if free.is_empty:
                break
            x = free.project(y[None])[0]
            share = np.where(stepped, x / np.where(steps > 0, steps, 1.0), np.inf)
            least = int(np.argmin(share))
            if share[least] >= 0.5:
                break
            stepped[least] = used[least] = False
        # 3. Least weights that are too much together: the smallest share goes first.
        while self.cell(used).is_empty and stepped.any():
            least = int(np.argmin(np.where(stepped, x / np.where(steps > 0, steps, 1.0), np.inf)))
            stepped[least] = used[least] = False
        if not self.cell(used).is_empty:
            return used
        # 4. Not possible so: the nearest choice that is, if all are known, else any.
        known = self._few_choices
        if len(known) == 1:
            return known[0]
        points = [self.cell(choice).project(y[None])[0] for choice in known]
        return known[int(np.argmin([((x - y) ** 2).sum() for x in points]))]
