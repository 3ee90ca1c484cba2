"""How alike domains are said to be, as a prior over a quadratic's coefficients takes it.

Domains whose similarity is `K` have linear effects that correlate as `K`, and the effects of pairs
`ij` and `kl` as `K_ik K_jl + K_il K_jk`: alike domains do alike, alone and beside others. Whether
that is so is not known, so the coefficients' correlation is `(1 - a) I + a C`, with `C` what the
similarity says and a trust `a` that is averaged over by evidence. Without trust, domains have
nothing to do with each other, as where nothing is said of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from service.search.polytope import FloatArray

TRUSTS = np.array([0.0, 0.4, 0.7, 0.9, 1.0])
UNTRUSTED = 0.5
"""How far a similarity is trusted, and the probability beforehand that it is not at all. The others
are all as likely."""


class Trust(NamedTuple):
    """What is believed of how far a similarity holds: from 0, not at all, to 1, as it was given."""

    mean: float
    low: float
    high: float
    """95% of the belief are between these two, which are among `TRUSTS`."""


def prior_weights() -> FloatArray:
    """(k,) what is believed of each of `TRUSTS` before any run."""
    rest = (1 - UNTRUSTED) / (len(TRUSTS) - 1)
    return np.array([UNTRUSTED if trust == 0 else rest for trust in TRUSTS])


def trust_of(weights: FloatArray) -> Trust:
    """From what is believed of each of `TRUSTS` (k,)."""
    places = np.searchsorted(np.cumsum(weights), [0.025, 0.975])
    low, high = TRUSTS[np.minimum(places, len(TRUSTS) - 1)]
    return Trust(float(weights @ TRUSTS), float(low), float(high))


@dataclass(frozen=True, eq=False)
class Similarity:
    """How alike m domains are.

    Attributes:
        matrix: (m, m) from 0 to 1, symmetric, with ones on its diagonal.
    """

    matrix: FloatArray

    @classmethod
    def of(
        cls, domains: Sequence[str], pairs: Mapping[tuple[str, str], float]
    ) -> Similarity | None:
        """Of named domains by pairs of them; None where nothing is said of any."""
        if not pairs:
            return None
        place = {name: i for i, name in enumerate(domains)}
        matrix = np.eye(len(domains))
        for (one, other), value in pairs.items():
            i, j = place[one], place[other]
            matrix[i, j] = matrix[j, i] = value
        return cls(matrix)

    @cached_property
    def _directions(self) -> tuple[FloatArray, FloatArray]:
        """Variances (p,) along orthonormal directions (p, p), its columns, of the coefficients that
        the similarity makes: of the constant, of linear effects, and of pairs i < j."""
        from scipy.linalg import block_diag  # takes long, and every command imports this module

        effects = _correlation(self.matrix)
        i, j = np.triu_indices(len(effects), 1)
        one, other = effects[np.ix_(i, i)], effects[np.ix_(j, j)]
        crossed = effects[np.ix_(i, j)]
        pairs = _correlation(one * other + crossed * crossed.T)
        each = [np.linalg.eigh(block) for block in (np.ones((1, 1)), effects, pairs) if len(block)]
        values = np.concatenate([values for values, _ in each]).clip(0)
        return values, block_diag(*(vectors for _, vectors in each))

    def root(self, trust: float) -> FloatArray:
        """(p, p) a matrix `R` with `R R'` the coefficients' correlation."""
        values, vectors = self._directions
        root: FloatArray = vectors * np.sqrt(1 - trust + trust * values)
        return root

    def correlation(self, trust: float) -> FloatArray:
        """(p, p) of the coefficients; their variances are all 1."""
        root = self.root(trust)
        correlation: FloatArray = root @ root.T
        return correlation


def _correlation(matrix: FloatArray) -> FloatArray:
    """A matrix near a symmetric one that is a correlation: with ones on its diagonal, and without
    negative eigenvalues, which pairs that contradict each other make."""
    if not len(matrix):
        return matrix
    values, vectors = np.linalg.eigh(matrix)
    positive = (vectors * values.clip(0)) @ vectors.T
    size = np.sqrt(np.diag(positive))
    correlation: FloatArray = positive / np.outer(size, size)
    return correlation
