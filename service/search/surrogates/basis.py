"""Features in fewer directions, where there are hundreds of pairs and dozens of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.search.space import FloatArray
from service.search.surrogates.part import Scaling

MOST_FEATURES = 64
"""Up to here features are taken as they are: ten domains have 56."""
MOST_DIRECTIONS = 32
"""Of the pairs, those in which the rows vary most; along the others the prior stays as it is."""


@dataclass(frozen=True, eq=False)
class Basis:
    """Constant, linear terms, and pairs as they are or in r directions; all pairs have one prior.

    Attributes:
        directions: (pairs, r), orthonormal; None for the pairs as they are.
    """

    scaling: Scaling
    directions: FloatArray | None

    @classmethod
    def of(
        cls,
        scaling: Scaling,
        X: FloatArray,
        most_features: int = MOST_FEATURES,
        most_directions: int = MOST_DIRECTIONS,
    ) -> Basis:
        """For rows of mixtures (n, m)."""
        F = scaling.features(X)
        if F.shape[1] <= most_features:
            return cls(scaling, None)
        _, lengths, directions = np.linalg.svd(F[:, 1 + scaling.m :], full_matrices=False)
        kept = min(most_directions, int((lengths > 1e-9 * lengths[0]).sum()))
        return cls(scaling, directions[:kept].T)

    def features(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(n, q) of mixtures (n, m), and (n,) the squared length of what they leave out."""
        F = self.scaling.features(X)
        if self.directions is None:
            return F, np.zeros(len(F))
        pairs = F[:, 1 + self.scaling.m :]
        along = pairs @ self.directions
        left = np.maximum((pairs**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        return np.hstack([F[:, : 1 + self.scaling.m], along]), left

    def left_out(self, X: FloatArray) -> FloatArray:
        """(k, k) products of what `features` leave out of mixtures (k, m)."""
        if self.directions is None:
            return np.zeros((len(X), len(X)))
        pairs = self.scaling.features(X)[:, 1 + self.scaling.m :]
        rest = pairs - (pairs @ self.directions) @ self.directions.T
        products: FloatArray = rest @ rest.T
        return products

    def prior(self, scales: FloatArray) -> FloatArray:
        """(G, q) variances of the coefficients for standard deviations (G, 2) of their kinds."""
        prior = self.scaling.prior(scales)
        if self.directions is None:
            return prior
        return prior[:, : 1 + self.scaling.m + self.directions.shape[1]]

    def all_coefficients(
        self, means: FloatArray, covariances: FloatArray, scales: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """(G, p) and (G, p, p) of the features as they are, from (G, q) and (G, q, q)."""
        if self.directions is None:
            return means, covariances
        own = np.eye(1 + self.scaling.m)
        pairs, r = self.directions.shape
        back = np.block(
            [[own, np.zeros((len(own), r))], [np.zeros((pairs, len(own))), self.directions]]
        )
        found = back @ covariances @ back.T
        unknown = np.eye(pairs) - self.directions @ self.directions.T
        found[:, len(own) :, len(own) :] += scales[:, 1, None, None] ** 2 * unknown
        return means @ back.T, found
