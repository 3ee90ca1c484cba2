"""Health of a fit in words: what its runs cannot tell, and intervals that are not right."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import numpy as np
from scipy.special import bdtr, bdtrc

from service.search.counts import counted
from service.search.intervals import Z95
from service.search.leave_one_out import LeaveOneOut
from service.search.runs import Runs
from service.search.similarity import Similarity, trust_of
from service.search.space import SAME, FloatArray, MixtureSpace
from service.search.surrogates import TAKING_CHANNELS, USING_SIMILARITY, Fitted

ALIKE = 0.5
"""Domains whose similarity is at least this are looked at as perhaps being one."""
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


def of_similarity(space: MixtureSpace, fitted: Fitted) -> list[str]:
    """How far it is trusted that domains are as alike as was said, and which may be one."""
    similarity = space.similarity
    if similarity is None:
        return []
    if fitted.trust is None:
        return [
            f"{fitted.name} does not use how alike domains are said to be; "
            f"{' and '.join(USING_SIMILARITY)} do."
        ]
    trust = trust_of(fitted.trust)
    found = [
        f"The similarity of domains is trusted: {trust.mean:.1f} ({trust.low:g} to "
        f"{trust.high:g}), where 0 is not at all and 1 as it was given."
    ]
    pairs = as_one(space, similarity, fitted)
    same = [f"{space.domains[i]} and {space.domains[j]}" for i, j in pairs]
    if same:
        found.append(
            f"{_listed(same)} {'are' if len(same) == 1 else 'each are'} as good as one domain: "
            "equal weights without the one score as those without the other do, and a difference "
            "is lost in the noise of a run (95% sure)."
        )
    return found


def as_one(space: MixtureSpace, similarity: Similarity, fitted: Fitted) -> list[tuple[int, int]]:
    """Pairs that are said to be alike, and of which equal weights without the one surely score what
    those without the other do: a difference, if there is any, is lost in the noise of one run."""
    found = []
    usable = np.flatnonzero(space.upper > 0)
    for i, j in combinations(usable, 2):
        if similarity.matrix[i, j] < ALIKE:
            continue
        without = np.zeros((2, space.m))
        without[:, usable] = 1 / (len(usable) - 1)
        without[0, i] = without[1, j] = 0.0
        mean, sd = fitted.posterior(without).difference()
        if abs(mean) + Z95 * sd < Z95 * fitted.noise_sd:
            found.append((int(i), int(j)))
    return found


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
