"""The paper's heuristics: from the seeds' scores straight to one mixture (section 4.2).

Each takes runs whose higher scores are better, one a seed, and answers the weights, or None where
the runs do not say enough. All are keyed by which domains a run used; runs without the score that a
heuristic looks at are left out. The paper has each from final and from step-averaged scores: which
of them the runs hold is the caller's choice. It also has each without coco ("No1"), of which no
more is said: here a domain that is left out gets no weight and is left out of the scaling, while
runs that used it still speak for the other domains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.search.runs import Runs
from service.search.space import FloatArray

BoolArray = NDArray[np.bool_]

RIDGE = 1e-3
NORM_HIGH, NORM_RANGE = 0.2, 0.1
USED = 1e-9


@dataclass(frozen=True, slots=True)
class HeuristicOptions:
    """What the paper varies.

    Attributes:
        alpha_single: factor of single-domain runs' scores in the alpha family.
        leave_out: columns of domains that get no weight.
    """

    alpha_single: float = 1.0
    leave_out: tuple[int, ...] = ()

    def kept(self, m: int) -> BoolArray:
        """(m,) False for domains left out."""
        kept = np.ones(m, dtype=bool)
        kept[list(self.leave_out)] = False
        return kept


AS_PUBLISHED = HeuristicOptions()


def alpha(runs: Runs, blend: float, options: HeuristicOptions = AS_PUBLISHED) -> FloatArray | None:
    """The alpha family: `blend` 1 is A_in, 0 is A_out, 0.5 is A_bal.

    Each domain's In-Scores and Out-Scores are averaged over the runs that used it, single-domain
    runs scaled by `alpha_single`; both are min-max scaled over domains, blended and normalised.
    The paper sums; all its seeds together use every domain equally often, so that the mean gives
    the same weights, and a seed whose run failed does not lower its domains.
    """
    raw, kept = np.zeros(runs.m), options.kept(runs.m)
    for share, score in ((blend, runs.in_score), (1 - blend, runs.out_score)):
        if share == 0:
            continue
        known = np.isfinite(score)
        used = _used(runs)[known]
        if len(used) < 2 or not used.any(axis=0).all():
            return None
        scale = np.where(used.sum(axis=1) == 1, options.alpha_single, 1.0)
        means = used.T @ (scale * score[known]) / used.sum(axis=0)
        raw += share * _min_max(means, kept)
    return _normalised(raw, kept)


def coli(runs: Runs, options: HeuristicOptions = AS_PUBLISHED) -> FloatArray | None:
    """Ridge regression of Out-Score on use indicators, each coefficient over its variance factor.

    No intercept, penalty 1e-3; coefficients are divided by the diagonal of (X'X + 1e-3 I)^-1,
    clipped at 0 and normalised.
    """
    known = np.isfinite(runs.out_score)
    X = _used(runs)[known]
    if len(X) < 2:
        return None
    inverse = np.linalg.inv(X.T @ X + RIDGE * np.eye(runs.m))
    coefficients = inverse @ X.T @ runs.out_score[known]
    raw = np.clip(coefficients / np.diag(inverse), 0, None)
    return _normalised(raw, options.kept(runs.m))


def norm(runs: Runs, options: HeuristicOptions = AS_PUBLISHED) -> FloatArray | None:
    """From the exclude-one runs: the better a run without a domain, the less of that domain.

    Out-Scores of the exclude-one runs are min-max scaled; the excluded domain's raw weight is
    0.2 - 0.1 times its run's; then normalised. None until every such run is there.
    """
    excluded_score = np.full(runs.m, np.nan)
    for uses, score in zip(_used(runs), runs.out_score, strict=True):
        if runs.m > 2 and uses.sum() == runs.m - 1:
            excluded_score[int(np.argmin(uses))] = score
    kept = options.kept(runs.m)
    if not np.isfinite(excluded_score[kept]).all():
        return None
    return _normalised(NORM_HIGH - NORM_RANGE * _min_max(excluded_score, kept), kept)


Heuristic = Callable[[Runs, HeuristicOptions], FloatArray | None]


def _alpha(blend: float) -> Heuristic:
    return lambda runs, options: alpha(runs, blend, options)


HEURISTICS: dict[str, tuple[str, Heuristic]] = {
    "alpha-in": ("domains by the In-Scores of the runs that used them", _alpha(1.0)),
    "alpha-out": ("domains by the Out-Scores of the runs that used them", _alpha(0.0)),
    "alpha-balanced": ("half by In-Scores, half by Out-Scores", _alpha(0.5)),
    "coli": ("domains by their ridge coefficient for Out-Score", coli),
    "norm": ("less of a domain the better the run without it", norm),
}


def _used(runs: Runs) -> FloatArray:
    """(n, m) 1.0 where a run used a domain."""
    used: FloatArray = (runs.weights > USED).astype(float)
    return used


def _min_max(values: FloatArray, kept: BoolArray) -> FloatArray:
    """Scaled so that the kept ones span [0, 1]; all 0 where they are equal."""
    low, high = values[kept].min(), values[kept].max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _normalised(raw: FloatArray, kept: BoolArray) -> FloatArray | None:
    raw = np.where(kept, raw, 0.0)
    total = raw.sum()
    return raw / total if total > 0 else None
