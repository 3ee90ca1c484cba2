"""How well a surrogate foresees runs that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from service.search import gaussian, intervals
from service.search.runs import Runs
from service.search.space import FloatArray
from service.search.surrogates.protocol import Fitted


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Each run as foreseen without it; figures are None where too few runs define them.

    Attributes:
        mean, sd: (n,) of a new observation: model and noise together.
        nlpd: mean negative log predictive density.
        coverage_90: share of runs inside their 90% interval.
        inside_95: number of runs inside their 95% interval: what pages and commands show.
        pit: (n,) probability foreseen for a score below the run's own; uniform when calibrated.
    """

    mean: FloatArray
    sd: FloatArray
    r2: float | None
    spearman: float | None
    rmse: float | None
    nlpd: float | None
    coverage_90: float | None
    inside_95: int | None
    pit: FloatArray


def leave_one_out(runs: Runs, fitted: Fitted) -> LeaveOneOut:
    """Leave-one-out predictions of the runs and their figures."""
    if len(runs) < 3:
        nothing = np.full(len(runs), np.nan)
        return LeaveOneOut(nothing, nothing, None, None, None, None, None, None, nothing)
    mean, sd = fitted.leave_one_out()
    residual = runs.score - mean
    total = ((runs.score - runs.score.mean()) ** 2).sum()
    varies = bool(total > 0 and np.ptp(mean) > 0)
    has_sd = bool(np.all(sd > 0))

    return LeaveOneOut(
        mean=mean,
        sd=sd,
        r2=float(1 - (residual**2).sum() / total) if total > 0 else None,
        spearman=_spearman(runs.score, mean) if varies else None,
        rmse=float(np.sqrt((residual**2).mean())),
        nlpd=float(-gaussian.log_density(runs.score, mean, sd**2).mean()) if has_sd else None,
        coverage_90=float((np.abs(residual) <= intervals.Z90 * sd).mean()) if has_sd else None,
        inside_95=int((np.abs(residual) <= intervals.Z95 * sd).sum()) if has_sd else None,
        pit=ndtr(residual / sd) if has_sd else np.full(len(runs), np.nan),
    )


def _spearman(a: FloatArray, b: FloatArray) -> float:
    """Correlation of ranks, of what varies; importing `scipy.stats` for it takes half a second."""
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: FloatArray) -> FloatArray:
    """(n,) from 1; equal values have their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: FloatArray = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks
