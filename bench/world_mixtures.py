"""The mixtures of the table of real runs: named ones, then draws that fill the simplex."""

from __future__ import annotations

from itertools import chain, combinations, zip_longest

import numpy as np
import scipy

from bench.tiny_world import DOMAINS, EDGE, INSIDE, UNIFORM

N_FLAT, N_SPARSE = 116, 58
SOBOL = 7
"""Points are drawn 2 ** 7 at a time, as a Sobol sequence is even for such numbers."""
SPARSE = 0.4
"""Concentration of the Dirichlet distribution whose draws lie near faces and corners."""
DIGITS = 3
DRAW = 20261129

Mixture = tuple[float, ...]


def mixtures() -> dict[str, Mixture]:
    """Weights of `DOMAINS` by name, in the order they are run in: a beginning of it is a table too.

    Uniform, every domain alone, every domain left out, those of `bench.tiny_world`, two domains
    half and half, then points of a Sobol sequence, spread evenly (`flat`) or towards the faces
    (`sparse`) in turn.
    """
    flat = _draws("flat", N_FLAT, 1.0)
    sparse = _draws("sparse", N_SPARSE, SPARSE)
    pairs = zip_longest(*[iter(flat)] * (N_FLAT // N_SPARSE))
    turns = chain.from_iterable((*some, one) for some, one in zip(pairs, sparse, strict=True))
    found: dict[str, Mixture] = {}
    for name, weights in chain(_named(), turns):
        if weights not in found.values():
            found[name] = weights
    return found


def corner(domain: str) -> str:
    """The name of a domain's mixture with itself."""
    return f"{domain} alone"


def _named() -> list[tuple[str, Mixture]]:
    m = len(DOMAINS)
    eye = np.eye(m)
    named = [(UNIFORM, (1 / m,) * m)]
    named += [(corner(d), tuple(map(float, eye[i]))) for i, d in enumerate(DOMAINS)]
    named += [(f"no {d}", tuple(map(float, (1 - eye[i]) / (m - 1)))) for i, d in enumerate(DOMAINS)]
    named += [*INSIDE.items(), *EDGE.items()]
    for i, j in combinations(range(m), 2):
        half = tuple(map(float, (eye[i] + eye[j]) / 2))
        named.append((f"{DOMAINS[i]} and {DOMAINS[j]}, half each", half))
    return named


def _draws(name: str, n: int, concentration: float) -> list[tuple[str, Mixture]]:
    """Dirichlet draws from a scrambled Sobol sequence, rounded to thousandths."""
    sobol = scipy.stats.qmc.Sobol(len(DOMAINS), rng=np.random.default_rng([DRAW, n]))
    gammas = scipy.stats.gamma(concentration).ppf(sobol.random_base2(SOBOL)[:n])
    drawn = []
    for i, row in enumerate(gammas):
        weights = np.round(row / row.sum(), DIGITS)
        weights[np.argmax(weights)] += 1 - weights.sum()
        drawn.append((f"{name} {i:03d}", tuple(round(float(w), DIGITS) for w in weights)))
    return drawn
