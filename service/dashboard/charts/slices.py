"""Where a surrogate is looked at: along each domain through a mixture, and between three."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.search.space import FloatArray, MixtureSpace

STEPS = 20
"""Parts that a domain's weight, or a side of a triangle, is cut into."""

LEAST_ROOM = 0.01
"""Weight below which three domains together make no triangle worth a look."""

TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Slice:
    """Mixtures in which one domain's weight grows and the others share the rest as they did.

    Attributes:
        mixtures: (k, m) those the study allows, in order of the weight.
        steps: (k,) which of the steps from 0 to 1 each is: where one is missing, there is a gap.
    """

    domain: int
    mixtures: FloatArray
    steps: list[int]


def slices(space: MixtureSpace, best: FloatArray) -> list[Slice]:
    """One for each domain, through a mixture (m,); its own weight is one of the steps."""
    found = []
    for domain in range(space.m):
        weights = np.union1d(np.linspace(0.0, 1.0, STEPS + 1), best[domain])
        rest = np.delete(best, domain)
        has_rest = rest.sum() > TOLERANCE
        shares = rest / rest.sum() if has_rest else np.full(len(rest), 1 / max(1, len(rest)))
        X = np.insert(np.outer(1 - weights, shares), domain, weights, axis=1)
        allowed = np.flatnonzero(space.contains(X, TOLERANCE))
        found.append(Slice(domain, X[allowed], [int(step) for step in allowed]))
    return found


def triangle(space: MixtureSpace, best: FloatArray, corners: Sequence[int]) -> FloatArray:
    """(k, m) allowed mixtures that share among three domains what these have in `best` (m,).

    None are there where that is less than `LEAST_ROOM`.
    """
    room = float(best[list(corners)].sum())
    if room < LEAST_ROOM:
        return np.empty((0, space.m))
    parts = [(i, j, STEPS - i - j) for i in range(STEPS + 1) for j in range(STEPS + 1 - i)]
    X = np.repeat(best[None], len(parts), axis=0)
    X[:, list(corners)] = room * np.array(parts) / STEPS
    allowed: FloatArray = X[space.contains(X, TOLERANCE)]
    return allowed
