"""Mixtures to begin with and mixtures to choose from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.search.runs import Runs
from service.search.space import SAME, FloatArray, MixtureSpace, total_variation

DRAWS = 5000
MAX_ROUNDS = 10
ENOUGH = 500
"""Draws of the Gaussian: one round, or up to 10 until 500 candidates are left of them."""


@dataclass(frozen=True, eq=False)
class DesignPoint:
    """A mixture of a design and what it is for, in words."""

    weights: FloatArray
    reason: str


def seed_design(space: MixtureSpace) -> list[DesignPoint]:
    """The paper's seeds: every domain alone, every domain left out, all together.

    2m + 1 points on the plain simplex, uniform first: everything is compared with it. Within bounds
    each is moved to the nearest feasible mixture, and what then coincides is kept once.
    """
    m, names = space.m, space.domains
    eye = np.eye(m)
    wanted = [(np.full(m, 1 / m), "all domains with equal weights")]
    wanted += [(eye[i], f"{names[i]} alone") for i in range(m)]
    if m > 2:  # leaving out one of two is the other one alone
        wanted += [((1 - eye[i]) / (m - 1), f"every domain but {names[i]}") for i in range(m)]
    points: list[DesignPoint] = []
    for weights, what in wanted:
        feasible = space.project(weights)
        known = np.array([point.weights for point in points]).reshape(-1, m)
        if np.all(total_variation(feasible, known) > SAME):
            moved = "" if np.allclose(feasible, weights) else ", as near as the bounds allow"
            points.append(DesignPoint(feasible, f"seed: {what}{moved}"))
    return points


def gaussian_candidates(space: MixtureSpace, runs: Runs, rng: np.random.Generator) -> FloatArray:
    """(k, m) draws from one Gaussian with the tried mixtures' mean and covariance (Algorithm 4).

    Draws with a negative weight are dropped and the rest normalised, as published; where bounds
    are tighter than that, the draws move to the nearest feasible mixture. With many domains hardly
    a draw is without a negative weight (none of 50,000 at 17), so more are made, and if they are
    still few, those with negative weights move to the nearest feasible mixture too.
    """
    # Pinned weights do not vary: their rounding must not decide which draws are dropped.
    movable = np.flatnonzero(space.upper > space.lower)
    if len(movable) < 2:
        return space.uniform[None]
    X = runs.weights[:, movable]
    # scikit-learn's GaussianMixture of one component: this covariance, and 1e-6 on its diagonal.
    covariance = np.atleast_2d(np.cov(X, rowvar=False, bias=True)) + 1e-6 * np.eye(len(movable))
    candidates = np.empty((0, space.m))
    for _ in range(MAX_ROUNDS):
        draws = np.tile(space.lower, (DRAWS, 1))
        draws[:, movable] = rng.multivariate_normal(
            X.mean(axis=0), covariance, size=DRAWS, method="eigh"
        )
        kept = draws[np.all(draws >= 0, axis=1) & (draws.sum(axis=1) > 0)]
        kept /= kept.sum(axis=1, keepdims=True)
        candidates = np.vstack([candidates, space.project(kept)])
        if len(candidates) >= ENOUGH:
            return candidates
    return np.vstack([candidates, space.project(draws)])
