"""What fits are asked, computed: arrays in and out, as it runs in another process.

Knows neither database nor HTTP.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from service.search.diagnostics import Diagnosis, diagnose
from service.search.goal_beliefs import Beliefs
from service.search.goal_decision import Decision, decide
from service.search.goals import Goal
from service.search.runs import Runs
from service.search.situation import Direction, sign_of, turn
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates import (
    SIDE_BY_SIDE,
    SURROGATES,
    Fitted,
    averaged,
    check,
    fit,
    fit_each,
)
from service.search.surrogates.automatic import LeftOut, average, named_shares, shares_kept
from service.search.surrogates.protocol import Posterior, log_density

T = TypeVar("T")

AUTO = "auto"

KEPT = 16
"""Fits that are kept, to predict again."""

KEPT_FORESEEN = 64
"""Predictions of a mixture by fits without it that are kept, for the average of them."""

SEED = 0
"""What is shown of a fit does not depend on chance."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What `auto` goes by.

    Attributes:
        shares: of the surrogates that it averages, by name; those left out have none.
        densities: log density of all left-out runs, less one for each fitted number, by surrogate.
        posterior: the average's joint belief about the noise-free objective.
    """

    shares: dict[str, float]
    densities: dict[str, float]
    posterior: Posterior


class _Last(Generic[T]):
    """What was made last, by what it was made of; the one unused for longest goes first."""

    def __init__(self, most: int = KEPT) -> None:
        self._made: OrderedDict[bytes, T] = OrderedDict()
        self._most = most

    def get(self, of: tuple[Any, ...], make: Callable[[], T]) -> T:
        key = hashlib.sha256(pickle.dumps(of)).digest()
        if key not in self._made:
            self._made[key] = make()
        self._made.move_to_end(key)
        while len(self._made) > self._most:
            self._made.popitem(last=False)
        return self._made[key]


class _Foreseen(NamedTuple):
    """What a surrogate says of a mixture and of the runs it was fitted to: a few numbers, where a
    fit to thousands of runs takes hundreds of megabytes."""

    mean: float
    left_out: LeftOut


# In the process that computes:
_fitted: _Last[list[Fitted]] = _Last()
_foreseen: _Last[_Foreseen] = _Last(KEPT_FORESEEN)


def _arrays_of(runs: Runs) -> tuple[Any, ...]:
    channels = [(name, *_arrays_of(runs.channels[name])) for name in sorted(runs.channels)]
    arrays = (runs.weights, runs.score, runs.noise_sd, runs.benchmarks, runs.run, runs.schedules)
    return (*arrays, *channels)


def _of(space: MixtureSpace) -> tuple[Any, ...]:
    """What fits look at of a space."""
    return (*space.domains, None if space.similarity is None else space.similarity.matrix)


def _one(surrogate: str, space: MixtureSpace, runs: Runs) -> Fitted:
    """The surrogate fitted once to runs turned so that higher scores are better, whatever is then
    asked of it: `auto` averages the fits that are there."""

    def make() -> list[Fitted]:
        if surrogate != AUTO:
            return [fit(surrogate, space, runs, SEED)]
        check(AUTO, SURROGATES[AUTO](), runs)
        return [average([_one(name, space, runs) for name in averaged(runs)])]

    return _fitted.get((surrogate, *_of(space), *_arrays_of(runs)), make)[0]


def _foresee(surrogate: str, space: MixtureSpace, runs: Runs, mixture: FloatArray) -> float:
    """What a surrogate fitted to turned runs predicts of a mixture (m,)."""
    if surrogate == AUTO:
        each = [_foreseen_by(name, space, runs, mixture) for name in averaged(runs)]
        share = shares_kept(runs.score, [one.left_out for one in each])
        return float(share @ np.array([one.mean for one in each]))
    if surrogate in SIDE_BY_SIDE:
        return _foreseen_by(surrogate, space, runs, mixture).mean
    return float(fit(surrogate, space, runs, SEED).predict(mixture[None])[0][0])


def _foreseen_by(surrogate: str, space: MixtureSpace, runs: Runs, mixture: FloatArray) -> _Foreseen:
    def make() -> _Foreseen:
        fitted = fit(surrogate, space, runs, SEED)
        return _Foreseen(float(fitted.predict(mixture[None])[0][0]), LeftOut.of(fitted))

    return _foreseen.get((surrogate, mixture, *_of(space), *_arrays_of(runs)), make)


def diagnosed(
    surrogate: str,
    space: MixtureSpace,
    runs: Runs,
    direction: Direction,
    compare: FloatArray | None,
    proposed: MixtureSpace,
) -> Diagnosis:
    """Everything there is to say about a surrogate; `compare` and `proposed`: as `diagnose` takes
    them."""
    return diagnose(
        surrogate,
        space,
        runs,
        SEED,
        direction,
        compare=compare,
        proposed=proposed,
        fitted=_one(surrogate, space, turn(runs, direction)),
        foresee=partial(_foresee, surrogate, space),
    )


def decided(
    surrogate: str, space: MixtureSpace, runs: Runs, goal: Goal, compare: FloatArray | None
) -> Decision:
    """What one of `goal_beliefs.PURSUING` makes of a goal; `compare`: as `decide` takes it."""
    return decide(Beliefs.fitted(surrogate, goal, space, runs, SEED), SEED, compare)


def predict(
    surrogate: str,
    space: MixtureSpace,
    runs: Runs,
    mixtures: FloatArray,
    direction: Direction,
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of a surrogate at (n, m) mixtures."""
    mean, sd = _one(surrogate, space, turn(runs, direction)).predict(mixtures)
    return sign_of(direction) * mean, sd


def predict_each(
    surrogate: str, space: MixtureSpace, runs: Runs, others: Sequence[Runs], mixtures: FloatArray
) -> list[tuple[FloatArray, FloatArray]]:
    """The same of other scores, each with a model of the kind that suits the objective."""
    return [one.predict(mixtures) for one in _each(surrogate, space, runs, others)]


def differences(
    surrogate: str,
    space: MixtureSpace,
    runs: Runs,
    others: Sequence[Runs],
    direction: Direction,
    at: FloatArray,
    against: FloatArray,
) -> list[tuple[FloatArray, FloatArray]]:
    """Mean and standard deviation, by the joint belief, of how much higher scores are at (k, m)
    mixtures than at as many others: first of the objective, then of `others`."""
    both = np.vstack([at, against])
    whole = _difference(_one(surrogate, space, turn(runs, direction)).posterior(both))
    each = _each(surrogate, space, runs, others) if others else []
    return [
        (sign_of(direction) * whole[0], whole[1]),
        *(_difference(one.posterior(both)) for one in each),
    ]


def _difference(belief: Posterior) -> tuple[FloatArray, FloatArray]:
    """Of the first half of the mixtures against the second."""
    k = len(belief.mean) // 2
    upper, lower = slice(None, k), slice(k, None)
    covariance = belief.covariance
    variance = (
        np.diag(covariance[upper, upper])
        + np.diag(covariance[lower, lower])
        - 2 * np.diag(covariance[upper, lower])
    )
    return belief.mean[upper] - belief.mean[lower], np.sqrt(np.maximum(0.0, variance))


def _each(surrogate: str, space: MixtureSpace, runs: Runs, others: Sequence[Runs]) -> list[Fitted]:
    of = (
        surrogate,
        *_of(space),
        *_arrays_of(runs),
        *(part for other in others for part in _arrays_of(other)),
    )
    return _fitted.get(of, lambda: fit_each(surrogate, space, runs, others, SEED))


def verdict(
    space: MixtureSpace,
    runs: Runs,
    mixtures: FloatArray,
    direction: Direction,
    among: Collection[str] = tuple(SIDE_BY_SIDE),
) -> Verdict:
    """`auto`'s average, of the fits that predictions are made with.

    Args:
        among: names in `SIDE_BY_SIDE`.
    """
    turned = turn(runs, direction)
    able = {name: _one(name, space, turned) for name in averaged(turned) if name in among}
    densities = {name: log_density(fitted) for name, fitted in able.items()}
    one = average(list(able.values()))
    belief = one.posterior(mixtures)
    posterior = Posterior(sign_of(direction) * belief.mean, belief.covariance)
    return Verdict(dict(named_shares(one)), densities, posterior)
