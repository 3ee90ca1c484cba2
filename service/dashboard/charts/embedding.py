"""A plane of mixtures: those that are alike lie near each other.

The distance of two mixtures is Hellinger's, `|√p - √q| / √2`: 0 for the same, 1 for two that share
no domain. It is Euclidean in the square roots of the weights, so classical multidimensional scaling
of it is the projection on the first two principal axes there (Gower, 1966), exact for thousands of
runs at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import pdist

from service.search.space import FloatArray


def distances(X: FloatArray, x: FloatArray) -> FloatArray:
    """(n,) Hellinger's, of mixtures (n, m) from one (m,)."""
    found: FloatArray = np.linalg.norm(np.sqrt(X) - np.sqrt(x), axis=1) / np.sqrt(2)
    return found


@dataclass(frozen=True, eq=False)
class Plane:
    """Where mixtures lie.

    Attributes:
        centre: (m,) mean of the square roots.
        axes: (m, 2) principal axes in them.
        explained: the share of all squared distances that the plane shows, from 0 to 1.
        stress: root mean square error of the distances on the plane, in their root mean square
            (Kruskal's stress-1); 0 is exact.
    """

    centre: FloatArray
    axes: FloatArray
    explained: float
    stress: float

    @classmethod
    def of(cls, X: FloatArray) -> Plane | None:
        """The plane that shows distances of mixtures (n, m) best; None unless three differ."""
        roots = np.sqrt(X)
        centre = roots.mean(axis=0)
        _, lengths, rows = np.linalg.svd(roots - centre, full_matrices=False)
        if len(lengths) < 2 or lengths[1] < 1e-9:
            return None
        axes = rows[:2].T.copy()
        # The sign of an axis is free: the same runs always give the same picture.
        heaviest = np.abs(axes).argmax(axis=0)
        axes *= np.where(axes[heaviest, range(2)] < 0, -1.0, 1.0)
        explained = float((lengths[:2] ** 2).sum() / (lengths**2).sum())
        there = pdist(roots)
        shown = pdist((roots - centre) @ axes)
        stress = float(np.sqrt(((there - shown) ** 2).sum() / (there**2).sum()))
        return cls(centre, axes, explained, stress)

    def place(self, X: FloatArray) -> FloatArray:
        """(n, 2) where mixtures (n, m) lie, in units of the distance."""
        found: FloatArray = (np.sqrt(X) - self.centre) @ self.axes / np.sqrt(2)
        return found
