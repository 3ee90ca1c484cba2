"""How far to trust a surrogate, and what it holds mixtures to be made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.special import bdtr, bdtrc, ndtr

from service.search import gaussian, intervals
from service.search.acquisition import Knowledge
from service.search.counts import counted
from service.search.runs import Runs
from service.search.situation import Direction, sign_of, turn
from service.search.space import SAME, FloatArray, MixtureSpace, total_variation
from service.search.surrogates import TAKING_CHANNELS, Fitted, fit
from service.search.surrogates.automatic import named_shares
from service.search.surrogates.carried import Carried
from service.search.surrogates.protocol import Posterior


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
class Lesson:
    """A run that would teach something.

    Attributes:
        gain: by how much it is expected to raise the highest prediction.
        mean, sd: what is believed of the mixture now.
    """

    weights: FloatArray
    gain: float
    mean: float
    sd: float


@dataclass(frozen=True, eq=False)
class Confirmation:
    """A mixture that was run more than once, and what was predicted of it without those runs.

    Attributes:
        mean, se: of its runs' scores.
        optimism: predicted minus confirmed; above 0 where the surrogate predicted too much.
    """

    weights: FloatArray
    n: int
    predicted: float
    mean: float
    se: float
    optimism: float


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Attributes:
    kind: what the surrogate chose to be, in words.
    shares: of the surrogates that it averages, by their names.
    lessons: what the next runs would teach, most telling first.
    margin, chance_of_better: probability that some mixture beats the best predicted one by more
        than the margin, the noise of one run.
    confirmations: of the mixtures run more than once, best first.
    predictions: of the noise-free objective at the mixtures asked for.
    compared: the joint belief about the mixtures to compare, so that differences are known too.
    channels: how far other channels carry over, by name; None of one that the surrogate ignores.
    """

    n: int
    name: str
    kind: str
    shares: Mapping[str, float]
    noise_sd: float
    loo: LeaveOneOut
    best: Best
    effects: Effects
    lessons: list[Lesson]
    margin: float
    chance_of_better: float
    confirmations: list[Confirmation]
    messages: list[str]
    predictions: list[Estimate]
    compared: Posterior | None
    channels: Mapping[str, Carried | None]


N_LESSONS = 3
MAX_CONFIRMATIONS = 5

RARELY = 0.05
"""Intervals are called wrong where chance alone would give such a count, or a less likely one, in
fewer cases than this."""


def diagnose(
    name: str,
    space: MixtureSpace,
    runs: Runs,
    seed: int,
    direction: Direction = "maximize",
    at: FloatArray | None = None,
    compare: FloatArray | None = None,
    fitted: Fitted | None = None,
) -> Diagnosis:
    """Everything there is to say about a surrogate fitted to runs.

    Args:
        at: (k, m) mixtures to predict.
        compare: (k, m) few mixtures to predict together.
        fitted: the surrogate, where it is fitted already, to runs turned so that higher is better.

    Raises:
        KeyError: no such surrogate.
        ValueError: too few runs to fit it.
    """
    # The engine maximises: scores are turned for the fit and back for what is said.
    sign, turned = sign_of(direction), turn(runs, direction)
    fitted = fitted or fit(name, space, turned, seed)
    rng = np.random.default_rng(seed)
    knowledge = Knowledge.gathered(fitted, space, np.empty((0, space.m)), rng)
    chance = knowledge.chance_of_better(fitted.noise_sd, rng)
    loo = leave_one_out(turned, fitted)
    said = LeaveOneOut(
        sign * loo.mean,
        loo.sd,
        loo.r2,
        loo.spearman,
        loo.rmse,
        loo.nlpd,
        loo.coverage_90,
        loo.inside_95,
        loo.pit if sign > 0 else 1 - loo.pit,
    )
    order = np.argsort(-fitted.predict(turned.weights)[0], kind="stable")
    highest = fitted.highest(space, turned.weights[order[:8]], rng)
    mean, sd = fitted.predict(highest[None])
    return Diagnosis(
        n=len(runs),
        name=fitted.name,
        kind=fitted.kind,
        shares=named_shares(fitted),
        noise_sd=fitted.noise_sd,
        loo=said,
        best=Best(highest, sign * float(mean[0]), float(sd[0])),
        effects=effects(space, fitted, sign),
        lessons=_lessons(knowledge, sign),
        margin=fitted.noise_sd,
        chance_of_better=chance,
        confirmations=_confirmations(name, space, turned, seed, sign),
        messages=_messages(space, runs, loo) + _ignored(runs, fitted),
        predictions=[] if at is None or len(at) == 0 else _predictions(fitted, at, sign),
        compared=None if compare is None else _turned(fitted.posterior(compare), sign),
        channels={channel: fitted.channels.get(channel) for channel in runs.channels},
    )


def _predictions(fitted: Fitted, at: FloatArray, sign: float) -> list[Estimate]:
    mean, sd = fitted.predict(at)
    return [Estimate(sign * float(m), float(s)) for m, s in zip(mean, sd, strict=True)]


def _turned(belief: Posterior, sign: float) -> Posterior:
    return Posterior(sign * belief.mean, belief.covariance)


def _lessons(knowledge: Knowledge, sign: float) -> list[Lesson]:
    lessons: list[Lesson] = []
    barred = np.empty((0, knowledge.X.shape[1]))
    for _ in range(N_LESSONS):
        best = knowledge.best(barred)
        lessons.append(Lesson(best.weights, max(0.0, best.gain), sign * best.mean, best.sd))
        barred = np.vstack([barred, best.weights])
        knowledge = knowledge.after(best.weights)
    return lessons


def _confirmations(
    name: str, space: MixtureSpace, runs: Runs, seed: int, sign: float
) -> list[Confirmation]:
    """By a fit without any run of the mixture, for those run more than once."""
    found: list[Confirmation] = []
    left = np.ones(len(runs), dtype=bool)
    for i in np.argsort(-runs.score, kind="stable"):
        same = total_variation(runs.weights[i], runs.weights) <= SAME
        if not left[i] or same.sum() < 2 or (~same).sum() <= space.m:
            continue
        left &= ~same
        fitted = fit(name, space, runs.without(runs.weights[i]), seed)
        predicted = float(fitted.predict(runs.weights[i][None])[0][0])
        scores = runs.score[same]
        mean, n = float(scores.mean()), int(same.sum())
        found.append(
            Confirmation(
                weights=runs.weights[i],
                n=n,
                predicted=sign * predicted,
                mean=sign * mean,
                se=float(scores.std(ddof=1) / np.sqrt(n)),
                optimism=predicted - mean,
            )
        )
        if len(found) == MAX_CONFIRMATIONS:
            break
    return sorted(found, key=lambda c: -sign * c.mean)


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
    from scipy.stats import spearmanr  # takes a tenth of the service's start, which needs it not

    return LeaveOneOut(
        mean=mean,
        sd=sd,
        r2=float(1 - (residual**2).sum() / total) if total > 0 else None,
        spearman=float(spearmanr(runs.score, mean).statistic) if varies else None,
        rmse=float(np.sqrt((residual**2).mean())),
        nlpd=float(-gaussian.log_density(runs.score, mean, sd**2).mean()) if has_sd else None,
        coverage_90=float((np.abs(residual) <= intervals.Z90 * sd).mean()) if has_sd else None,
        inside_95=int((np.abs(residual) <= intervals.Z95 * sd).sum()) if has_sd else None,
        pit=ndtr(residual / sd) if has_sd else np.full(len(runs), np.nan),
    )


def effects(space: MixtureSpace, fitted: Fitted, sign: float = 1.0) -> Effects:
    """Own value per domain and synergy per pair, with standard deviations.

    From the joint belief at corners e_i and midpoints (e_i + e_j) / 2: the synergy is
    `4 f(mid) - 2 f(e_i) - 2 f(e_j)`. `sign` is -1 where the fitted scores were turned.
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
    means = sign * contrasts @ belief.mean
    variances = np.einsum("pi,ij,pj->p", contrasts, belief.covariance, contrasts)
    alone = [
        Estimate(sign * float(mean), float(sd))
        for mean, sd in zip(belief.mean[:m], belief.sd[:m], strict=True)
    ]
    synergy = {
        pair: Estimate(float(mean), math.sqrt(max(0.0, float(variance))))
        for pair, mean, variance in zip(pairs, means, variances, strict=True)
    }
    return Effects(alone, synergy)


def _ignored(runs: Runs, fitted: Fitted) -> list[str]:
    ignored = [f"{name!r}" for name in runs.channels if name not in fitted.channels]
    if not ignored:
        return []
    return [
        f"{fitted.name} learns from full runs alone: scores of {_listed(ignored)} are not used; "
        f"{', '.join(TAKING_CHANNELS)} take them."
    ]


def _messages(space: MixtureSpace, runs: Runs, loo: LeaveOneOut) -> list[str]:
    messages = []
    n_terms = space.m * (space.m + 1) // 2
    unknown = _unidentified(runs.weights)
    if runs.is_one_mixture:
        messages.append(
            f"All {len(runs)} runs are one mixture, within {SAME:g} of each other: they tell its "
            "score and the noise, and nothing of other mixtures, which are taken to score like it."
        )
    elif unknown:
        pairs = [f"{space.domains[i]}*{space.domains[j]}" for i, j in unknown]
        messages.append(
            f"{counted(len(runs), 'run')} cannot identify the {n_terms} terms of a quadratic in "
            f"{space.m} domains: the {'pairs' if len(pairs) > 1 else 'pair'} {_listed(pairs)} "
            f"{'rest' if len(pairs) > 1 else 'rests'} on the prior"
            f"{' and on other channels' if runs.channels else ''}."
        )
    if loo.r2 is not None and loo.r2 < 0:
        messages.append(
            f"Left-out runs are predicted worse than by their mean (R² {loo.r2:.2f}): "
            "do not trust the ranking yet."
        )
    if loo.inside_95 is not None:
        fault = miscalibrated(loo.inside_95, len(runs))
        if fault is not None:
            messages.append(
                f"{loo.inside_95} of {len(runs)} left-out runs lie inside their 95% interval: "
                f"the intervals are too {fault}."
            )
    corners = np.eye(space.m)
    beyond = [d for d, ok in zip(space.domains, space.contains(corners), strict=True) if not ok]
    if beyond:
        messages.append(
            f"{', '.join(beyond)} alone would be out of bounds: what is said of that is a guess."
        )
    n_mixtures = len(np.unique(np.round(runs.weights, 6), axis=0))
    if n_mixtures == len(runs) and not runs.is_one_mixture:
        messages.append("No mixture was run twice, so noise and fit cannot be told apart.")
    return messages


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
