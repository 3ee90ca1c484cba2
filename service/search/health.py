"""Health of a fit in words: what its runs cannot tell, and intervals that are not right."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import numpy as np
from scipy.special import bdtr, bdtrc

from service.search.counts import counted
from service.search.leave_one_out import LeaveOneOut
from service.search.runs import Runs
from service.search.space import SAME, FloatArray, MixtureSpace
from service.search.surrogates import TAKING_CHANNELS, Fitted

RARELY = 0.05
"""Intervals are called wrong where chance alone would give such a count, or a less likely one, in
fewer cases than this."""


def ignored(runs: Runs, fitted: Fitted) -> list[str]:
    """Channels of the runs that the surrogate does not learn from."""
    unused = [f"{name!r}" for name in runs.channels if name not in fitted.channels]
    if not unused:
        return []
    return [
        f"{fitted.name} learns from full runs alone: scores of {_listed(unused)} are not used; "
        f"{', '.join(TAKING_CHANNELS)} take them."
    ]


def messages(space: MixtureSpace, runs: Runs, loo: LeaveOneOut) -> list[str]:
    """What the runs cannot tell, and what left-out runs say against the fit."""
    found = []
    n_terms = space.m * (space.m + 1) // 2
    unknown = _unidentified(runs.weights)
    if runs.is_one_mixture:
        found.append(
            f"All {len(runs)} runs are one mixture, within {SAME:g} of each other: they tell its "
            "score and the noise, and nothing of other mixtures, which are taken to score like it."
        )
    elif unknown:
        pairs = [f"{space.domains[i]}*{space.domains[j]}" for i, j in unknown]
        found.append(
            f"{counted(len(runs), 'run')} cannot identify the {n_terms} terms of a quadratic in "
            f"{space.m} domains: the {'pairs' if len(pairs) > 1 else 'pair'} {_listed(pairs)} "
            f"{'rest' if len(pairs) > 1 else 'rests'} on the prior"
            f"{' and on other channels' if runs.channels else ''}."
        )
    if loo.r2 is not None and loo.r2 < 0:
        found.append(
            f"Left-out runs are predicted worse than by their mean (R² {loo.r2:.2f}): "
            "do not trust the ranking yet."
        )
    if loo.inside_95 is not None:
        fault = miscalibrated(loo.inside_95, len(runs))
        if fault is not None:
            found.append(
                f"{loo.inside_95} of {len(runs)} left-out runs lie inside their 95% interval: "
                f"the intervals are too {fault}."
            )
    corners = np.eye(space.m)
    beyond = [d for d, ok in zip(space.domains, space.contains(corners), strict=True) if not ok]
    if beyond:
        found.append(
            f"{', '.join(beyond)} alone would be out of bounds: what is said of that is a guess."
        )
    n_mixtures = len(np.unique(np.round(runs.points, 6), axis=0))
    if n_mixtures == len(runs) and not runs.is_one_mixture:
        found.append("No mixture was run twice, so noise and fit cannot be told apart.")
    return found


def miscalibrated(n_inside: int, n: int) -> Literal["narrow", "wide"] | None:
    """Whether 95% intervals of `n` runs, of which so many are inside, cannot well be right.

    An exact two-sided binomial test at `RARELY`. All of few runs inside says nothing: it takes 72.
    """
    if bdtr(n_inside, n, 0.95) <= RARELY / 2:
        return "narrow"
    at_least = 1.0 if n_inside == 0 else float(bdtrc(n_inside - 1, n, 0.95))
    return "wide" if at_least <= RARELY / 2 else None


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _unidentified(X: FloatArray) -> list[tuple[int, int]]:
    """Pairs whose term in the Scheffe columns w_i and w_i w_j the runs do not determine."""
    m = X.shape[1]
    pairs = list(combinations(range(m), 2))
    columns = np.hstack([X, *((X[:, [i]] * X[:, [j]]) for i, j in pairs)])
    values, vectors = np.linalg.eigh(columns.T @ columns)
    free = np.linalg.norm(vectors[:, values <= 1e-9 * len(X)], axis=1)
    return [pair for pair, lack in zip(pairs, free[m:], strict=True) if lack > 1e-3]
