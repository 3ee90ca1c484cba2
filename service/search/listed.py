"""Spaces of few mixtures: only those of a list may be run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.search.polytope import Polytope
from service.search.space import FloatArray, MixtureSpace, total_variation


@dataclass(frozen=True, eq=False)
class ListedSpace(MixtureSpace):
    """The mixtures of a list that a space holds.

    Attributes:
        rows: (k, m); those that the other limits exclude are left out.

    Raises:
        ValueError: none is left.
    """

    rows: FloatArray = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        super().__post_init__()
        listed = np.asarray(self.rows, dtype=float).reshape(-1, self.m)
        fitting = listed[super().contains(listed)]
        if not len(fitting):
            raise ValueError(f"none of the {len(listed)} listed mixtures keeps to the limits")
        _, first = np.unique(fitting, axis=0, return_index=True)
        rows = fitting[np.sort(first)]
        rows.setflags(write=False)
        object.__setattr__(self, "rows", rows)

    def listed(self) -> FloatArray:
        return self.rows

    @property
    def is_convex(self) -> bool:
        return False

    @property
    def dimension(self) -> int:
        return 0 if len(self.rows) == 1 else self.m - 1

    @property
    def has_listed_vertices(self) -> bool:
        return True

    def n_cells(self) -> int:
        return len(self.rows)

    def cells(self) -> Iterator[Polytope]:
        return map(self.cell_of, self.rows)

    def cell_of(self, x: FloatArray) -> Polytope:
        return Polytope(x, x, np.empty((0, self.m)), np.empty(0))

    def contains(self, X: ArrayLike, tolerance: float = 1e-9) -> NDArray[np.bool_]:
        flat = np.asarray(X, dtype=float).reshape(-1, self.m)
        near = [float(np.abs(self.rows - x).max(axis=1).min()) <= tolerance for x in flat]
        return np.array(near).reshape(np.shape(X)[:-1])

    def project(self, y: ArrayLike) -> FloatArray:
        """The nearest listed mixtures in total variation."""
        Y = np.asarray(y, dtype=float)
        flat = Y.reshape(-1, self.m)
        nearest = [int(np.argmin(total_variation(x, self.rows))) for x in flat]
        found: FloatArray = self.rows[np.array(nearest, dtype=int)].reshape(Y.shape)
        return found

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """(n, m) listed mixtures at random, each once before any comes again."""
        rounds = -(-n // len(self.rows))
        order = [rng.permutation(len(self.rows)) for _ in range(rounds)]
        drawn: FloatArray = self.rows[np.concatenate([np.empty(0, dtype=int), *order])[:n]]
        return drawn

    def vertices(self) -> FloatArray:
        return self.rows

    def maximise(
        self,
        score: Callable[[FloatArray], FloatArray],
        rng: np.random.Generator,
        *,
        also: FloatArray,
        n: int = 2000,
    ) -> FloatArray:
        """The listed mixture where `score` is highest, exactly."""
        best: FloatArray = self.rows[int(np.argmax(score(self.rows)))]
        return best
