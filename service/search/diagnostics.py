"""How far to trust a surrogate, and what it holds mixtures to be made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import norm, spearmanr

from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.strategies import Direction
from service.search.surrogates import Fitted, fit

Z90 = float(norm.ppf(0.95))


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Each run as foreseen without it; figures are None where too few runs define them.

    Attributes:
        mean, sd: (n,) of a new observation: model and noise together.
        nlpd: mean negative log predictive density.
        coverage_90: share of runs inside their 90% interval.
    """

    mean: FloatArray
    sd: FloatArray
    r2: float | None
    spearman: float | None
    rmse: float | None
    nlpd: float | None
    coverage_90: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    mean: float
    sd: float


@dataclass(frozen=True, eq=False)
class Best:
    """The best mixture of the space by predicted mean."""

    weights: FloatArray
    mean: float
    sd: float


@dataclass(frozen=True, eq=False)
class Effects:
    """The Scheffe form of the surrogate: identifiable, whatever the model inside.

    Attributes:
        alone: (m,) predicted objective of each domain alone.
        synergy: for each pair (i, j) the b in `b * w_i * w_j`: an equal blend of two domains scores
            the mean of the two plus b / 4.
    """

    alone: list[Estimate]
    synergy: dict[tuple[int, int], Estimate]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    n: int
    noise_sd: float
    loo: LeaveOneOut
    best: Best
    effects: Effects
    messages: list[str]


def diagnose(
    name: str, space: MixtureSpace, runs: Runs, seed: int, direction: Direction = "maximize"
) -> Diagnosis:
    """Everything there is to say about a surrogate fitted to runs.

    Raises:
        KeyError: no such surrogate.
        ValueError: too few runs to fit it.
    """
    fitted = fit(name, space, runs, seed)
    loo = leave_one_out(runs, fitted)
    return Diagnosis(
        n=len(runs),
        noise_sd=fitted.noise_sd,
        loo=loo,
        best=_best(space, runs, fitted, seed, direction),
        effects=effects(space, fitted),
        messages=_messages(space, runs, loo),
    )


def leave_one_out(runs: Runs, fitted: Fitted) -> LeaveOneOut:
    """Leave-one-out predictions of the runs and their figures."""
    if len(runs) < 3:
        nothing = np.full(len(runs), np.nan)
        return LeaveOneOut(nothing, nothing, None, None, None, None, None)
    mean, sd = fitted.leave_one_out()
    residual = runs.score - mean
    total = ((runs.score - runs.score.mean()) ** 2).sum()
    varies = bool(total > 0 and np.ptp(mean) > 0)
    has_sd = bool(np.all(sd > 0))
    return LeaveOneOut(
        mean=mean,
        sd=sd,
        r2=float(1 - (residual**2).sum() / total) if total > 0 else None,
        spearman=float(spearmanr(runs.score, mean).statistic) if varies else None,
        rmse=float(np.sqrt((residual**2).mean())),
        nlpd=float(-norm.logpdf(runs.score, mean, sd).mean()) if has_sd else None,
        coverage_90=float((np.abs(residual) <= Z90 * sd).mean()) if has_sd else None,
    )


def effects(space: MixtureSpace, fitted: Fitted) -> Effects:
    """Own value per domain and synergy per pair, with standard deviations.

    From the joint belief at corners e_i and midpoints (e_i + e_j) / 2: the synergy is
    `4 f(mid) - 2 f(e_i) - 2 f(e_j)`.
    """
    m = space.m
    pairs = list(combinations(range(m), 2))
    corners = np.eye(m)
    middles = np.array([(corners[i] + corners[j]) / 2 for i, j in pairs]).reshape(-1, m)
    belief = fitted.posterior(np.vstack([corners, middles]))
    contrasts = np.zeros((len(pairs), m + len(pairs)))
    for row, (i, j) in enumerate(pairs):
        contrasts[row, [i, j]] = -2.0
        contrasts[row, m + row] = 4.0
    means = contrasts @ belief.mean
    variances = np.einsum("pi,ij,pj->p", contrasts, belief.covariance, contrasts)
    alone = [
        Estimate(float(mean), float(sd))
        for mean, sd in zip(belief.mean[:m], belief.sd[:m], strict=True)
    ]
    synergy = {
        pair: Estimate(float(mean), math.sqrt(max(0.0, float(variance))))
        for pair, mean, variance in zip(pairs, means, variances, strict=True)
    }
    return Effects(alone, synergy)


def _best(space: MixtureSpace, runs: Runs, fitted: Fitted, seed: int, direction: Direction) -> Best:
    sign = 1.0 if direction == "maximize" else -1.0
    weights = space.maximise(
        lambda X: sign * fitted.predict(X)[0], np.random.default_rng(seed), also=runs.weights
    )
    mean, sd = fitted.predict(weights[None])
    return Best(weights, float(mean[0]), float(sd[0]))


def _messages(space: MixtureSpace, runs: Runs, loo: LeaveOneOut) -> list[str]:
    messages = []
    n_terms = space.m * (space.m + 1) // 2
    rank = _quadratic_rank(runs.weights)
    if rank < n_terms:
        messages.append(
            f"{len(runs)} runs identify {rank} of the {n_terms} terms of a quadratic in "
            f"{space.m} domains; the rest is the model's assumption."
        )
    together = (runs.weights > 0).T.astype(int) @ (runs.weights > 0).astype(int)
    never = [
        f"{space.domains[i]}*{space.domains[j]}"
        for i, j in combinations(range(space.m), 2)
        if together[i, j] == 0
    ]
    if never:
        shown = ", ".join(never[:4]) + (f" and {len(never) - 4} more" if len(never) > 4 else "")
        messages.append(f"No run holds both domains of {shown}: their synergy is a guess.")
    if loo.r2 is not None and loo.r2 < 0:
        messages.append(
            f"Left-out runs are foreseen worse than by their mean (R2 {loo.r2:.2f}): "
            "do not trust the ranking yet."
        )
    if loo.coverage_90 is not None and len(runs) >= 8 and not 0.75 <= loo.coverage_90 <= 0.99:
        wide = "narrow" if loo.coverage_90 < 0.75 else "wide"
        messages.append(
            f"{100 * loo.coverage_90:.0f}% of left-out runs lie in their 90% interval: "
            f"the intervals are too {wide}."
        )
    corners = np.eye(space.m)
    beyond = [d for d, ok in zip(space.domains, space.contains(corners), strict=True) if not ok]
    if beyond:
        messages.append(
            f"{', '.join(beyond)} alone would be out of bounds: what is said of that is a guess."
        )
    if len(np.unique(np.round(runs.weights, 6), axis=0)) == len(runs):
        messages.append("No mixture was run twice, so noise and fit cannot be told apart.")
    return messages


def _quadratic_rank(X: FloatArray) -> int:
    """Rank of the Scheffe columns w_i and w_i w_j at the runs."""
    pairs = list(combinations(range(X.shape[1]), 2))
    columns = np.hstack([X, *((X[:, [i]] * X[:, [j]]) for i, j in pairs)])
    return int(np.linalg.matrix_rank(columns, tol=1e-6)) if len(X) else 0
