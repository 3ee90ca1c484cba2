"""Mixtures to begin with, chosen before anything is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.search.space import SAME, FloatArray, MixtureSpace, total_variation


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
