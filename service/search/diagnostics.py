"""How far to trust a surrogate, and what it holds mixtures to be made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from service.search.acquisition import Knowledge
from service.search.health import ignored, messages, of_similarity
from service.search.leave_one_out import LeaveOneOut, leave_one_out
from service.search.runs import TARGET, Runs
from service.search.schedules import ScheduleSpace
from service.search.situation import Direction, sign_of, turn
from service.search.space import SAME, FloatArray, MixtureSpace, total_variation
from service.search.surrogates import Fitted, fit
from service.search.surrogates.automatic import named_shares
from service.search.surrogates.carried import Carried
from service.search.surrogates.protocol import Posterior


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
class BestSchedule:
    """The best schedule by predicted mean.

    Attributes:
        shares, phases: (P,) and (P, m) mixtures.
        gain, sd: over the best mixture that does not change, where more is better.
    """

    shares: FloatArray
    phases: FloatArray
    gain: float
    sd: float


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
    schedule: where schedules are proposed and some were run.
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
    schedule: BestSchedule | None = None


N_LESSONS = 3
MAX_CONFIRMATIONS = 5


def diagnose(
    name: str,
    space: MixtureSpace,
    runs: Runs,
    seed: int,
    direction: Direction = "maximize",
    at: FloatArray | None = None,
    compare: FloatArray | None = None,
    proposed: MixtureSpace | None = None,
    fitted: Fitted | None = None,
    foresee: Callable[[Runs, FloatArray], float] | None = None,
) -> Diagnosis:
    """Everything there is to say about a surrogate fitted to runs.

    Args:
        at: (k, m) mixtures to predict.
        compare: (k, m) few mixtures to predict together.
        proposed: what the search proposes, where that is not `space`: schedules of its mixtures.
        fitted: the surrogate, where it is fitted already, to runs turned so that higher is better.
        foresee: what the surrogate fitted to other runs, turned likewise, predicts of a mixture
            (m,); where it may be fitted to them already.

    Raises:
        KeyError: no such surrogate.
        CannotFitError: it does not take such runs.
    """
    # The engine maximises: scores are turned for the fit and back for what is said.
    sign, turned = sign_of(direction), turn(runs, direction)
    fitted = fitted or fit(name, space, turned, seed)

    def by_own_fit(others: Runs, mixture: FloatArray) -> float:
        return float(fit(name, space, others, seed).predict(mixture[None])[0][0])

    rng = np.random.default_rng(seed)
    knowledge = Knowledge.gathered(fitted, space, {}, rng)
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
        confirmations=_confirmations(space, turned, sign, foresee or by_own_fit),
        messages=[
            *messages(space, runs, loo),
            *ignored(runs, fitted),
            *of_similarity(space, fitted),
        ],
        predictions=[] if at is None or len(at) == 0 else _predictions(fitted, at, sign),
        compared=None if compare is None else _turned(fitted.posterior(compare), sign),
        channels={channel: fitted.channels.get(channel) for channel in runs.channels},
        schedule=_best_schedule(proposed, fitted, highest, rng),
    )


def _best_schedule(
    proposed: MixtureSpace | None,
    fitted: Fitted,
    mixture: FloatArray,
    rng: np.random.Generator,
) -> BestSchedule | None:
    """Against the best mixture (m,); None before the first run of a schedule."""
    runs = fitted.runs
    if not (isinstance(proposed, ScheduleSpace) and runs.schedules.size):
        return None
    order = np.argsort(-fitted.predict(runs.schedules)[0], kind="stable")
    plain = proposed.unchanging(mixture[None])
    best = fitted.highest(proposed, np.vstack([runs.schedules[order[:8]], plain]), rng)
    gain, sd = fitted.posterior(np.vstack([best, plain])).difference()
    return BestSchedule(proposed.shares, proposed.phases(best), gain, sd)


def _predictions(fitted: Fitted, at: FloatArray, sign: float) -> list[Estimate]:
    mean, sd = fitted.predict(at)
    return [Estimate(sign * float(m), float(s)) for m, s in zip(mean, sd, strict=True)]


def _turned(belief: Posterior, sign: float) -> Posterior:
    return Posterior(sign * belief.mean, belief.covariance)


def _lessons(knowledge: Knowledge, sign: float) -> list[Lesson]:
    lessons: list[Lesson] = []
    for _ in range(N_LESSONS):
        barred = np.array([lesson.weights for lesson in lessons])
        best = knowledge.best({TARGET: barred})
        lessons.append(Lesson(best.weights, max(0.0, best.gain), sign * best.mean, best.sd))
        knowledge = knowledge.after(best.weights)
    return lessons


def _confirmations(
    space: MixtureSpace, runs: Runs, sign: float, foresee: Callable[[Runs, FloatArray], float]
) -> list[Confirmation]:
    """By a fit without any run of the mixture, for those run more than once."""
    found: list[Confirmation] = []
    left = np.ones(len(runs), dtype=bool)
    for i in np.argsort(-runs.score, kind="stable"):
        point = runs.points[i]
        same = total_variation(point, runs.points) <= SAME
        if not left[i] or same.sum() < 2 or (~same).sum() <= space.m:
            continue
        left &= ~same
        predicted = foresee(runs.without(point), point)
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
