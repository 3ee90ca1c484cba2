"""Scores in units of their own spread, as priors over surfaces have it."""

from __future__ import annotations

import numpy as np

from service.search.runs import Runs
from service.search.space import SAME, FloatArray, MixtureSpace, total_variation

EQUAL = 1e-9
"""Scores that differ by a smaller share of themselves are the same but for rounding."""
PERCENT = 0.01

NARROW = 0.05
"""Runs that are on average no further than this from their mean, in total variation, are close."""
SAMPLES = 256


def centre_and_scale(runs: Runs) -> tuple[float, float]:
    """Mean and standard deviation of the scores.

    Scores that are all the same say nothing of how far others may be: then it is their usual
    sampling error, or else a hundredth of them.
    """
    centre = float(runs.score.mean())
    scale = float(runs.score.std(ddof=1))
    if scale > EQUAL * abs(centre):
        return centre, scale
    known = runs.noise_sd[np.isfinite(runs.noise_sd)]
    usual = float(np.median(known)) if len(known) else 0.0
    return centre, usual or PERCENT * abs(centre) or 1.0


def least_spread_of(space: MixtureSpace, runs: Runs) -> tuple[FloatArray, FloatArray] | None:
    """Mixtures (k, m), and the share of their spread that a constant, linear terms and pairs of the
    runs (3,) are taken to spread by at least.

    None where the runs are far enough apart to tell for themselves. A prior in units of the runs'
    own spread would otherwise promise, of mixtures a hundred times as far off, effects a hundred
    times as large as all that was seen; and what runs of one mixture differ by is noise. So the
    share is all for these, and falls to nothing that matters for runs that are `NARROW` apart. Of
    pairs, runs of single domains tell as little, however far apart they are.
    """
    apart = float(total_variation(runs.weights.mean(axis=0), runs.weights).mean())
    mixed = float(1 - (runs.weights**2).sum(axis=1).mean())
    if min(apart, mixed) > NARROW:
        return None
    linear, pairs = (SAME / max(SAME, by) if by <= NARROW else 0.0 for by in (apart, mixed))
    whole = space.sample(SAMPLES, np.random.default_rng(0))
    return whole, np.array([0.0, linear, max(linear, pairs)])
