"""Mixtures among which the one that serves a goal best is looked for."""

from __future__ import annotations

import numpy as np

from service.search.goal_beliefs import Beliefs
from service.search.space import FloatArray

SAMPLES = 256
MAXIMA = 8
"""Maxima of draws of each output among the candidates."""
LISTED = 512
"""Of a list of mixtures at most so many are candidates, drawn at random."""
AROUND = 16
"""Steps away from each of the best so far."""
REACHES = (0.15, 0.05, 0.015)
"""How long these steps are, round by round."""
EACH_SEARCHED = 4
"""Outputs, at most, whose own best mixtures are looked for one by one."""


def first_candidates(beliefs: Beliefs, rng: np.random.Generator) -> FloatArray:
    """(k, m) all over the space, and where an output is highest, or may be."""
    space, tried = beliefs.space, beliefs.runs.weights
    listed = space.listed()
    if listed is not None:
        return space.sample(min(LISTED, len(listed)), rng)
    parts = [space.sample(SAMPLES, rng), space.uniform[None]]
    if space.has_listed_vertices:
        parts.append(space.vertices()[: 4 * space.m])
    for fitted in beliefs.fits[:EACH_SEARCHED]:
        top = tried[np.argsort(-fitted.predict(tried)[0], kind="stable")[:8]]
        top = space.within(top)
        parts += [fitted.highest(space, top, rng)[None], fitted.maxima(space, MAXIMA, top, rng)]
    return np.vstack(parts)


def around(
    beliefs: Beliefs, best: FloatArray, reach: float, rng: np.random.Generator
) -> FloatArray:
    """(k, m) steps of about so long away from each of the best so far (b, m), and mixtures between
    two of them; of a list, none."""
    space = beliefs.space
    if space.listed() is not None:
        return np.empty((0, space.m))
    steps = reach * rng.normal(size=(AROUND, *best.shape)) / np.sqrt(space.m)
    one, other = best[rng.integers(len(best), size=(2, AROUND))]
    between = one + rng.random((AROUND, 1)) * (other - one)
    return space.project(np.vstack([(best + steps).reshape(-1, space.m), between]))


def promising(beliefs: Beliefs, most: int) -> FloatArray:
    """(k, m) different mixtures that were run, of more than so many those best by their means, in
    one objective or in all."""
    tried = np.unique(beliefs.space.within(beliefs.runs.weights), axis=0)
    if len(tried) <= most:
        return tried
    means = np.array([beliefs.fits[o].predict(tried)[0] for o in beliefs.goal.objectives])
    extent = np.ptp(means, axis=1, keepdims=True)
    scaled = (means - means.min(axis=1, keepdims=True)) / np.where(extent > 0, extent, 1.0)
    merit = scaled.min(axis=0) if beliefs.goal.is_worst else scaled.sum(axis=0) + scaled.max(axis=0)
    return tried[np.sort(np.argsort(-merit, kind="stable")[:most])]
