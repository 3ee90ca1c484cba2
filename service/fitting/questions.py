"""What fits are asked, computed: arrays in and out, as it runs in another process.

Knows neither database nor HTTP.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from service.search.diagnostics import Diagnosis, diagnose
from service.search.goal_beliefs import Beliefs
from service.search.goal_decision import Decision, decide
from service.search.goals import Goal
from service.search.runs import Runs
from service.search.situation import Direction, sign_of, turn
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates import SIDE_BY_SIDE, Fitted, fit, fit_each
from service.search.surrogates.automatic import average, named_shares
from service.search.surrogates.protocol import Posterior, log_density, scores_for

KEPT = 16
"""Fits that are kept, to predict again."""

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


_fitted: OrderedDict[bytes, list[Fitted]] = OrderedDict()
"""In the process that computes: what it fitted last, to predict again."""


def _cached(of: tuple[Any, ...], make: Callable[[], list[Fitted]]) -> list[Fitted]:
    key = hashlib.sha256(pickle.dumps(of)).digest()
    if key not in _fitted:
        _fitted[key] = make()
    _fitted.move_to_end(key)
    while len(_fitted) > KEPT:
        _fitted.popitem(last=False)
    return _fitted[key]


def _arrays_of(runs: Runs) -> tuple[Any, ...]:
    channels = [(name, *_arrays_of(runs.channels[name])) for name in sorted(runs.channels)]
    return (runs.weights, runs.score, runs.noise_sd, runs.benchmarks, runs.run, *channels)


def _of(space: MixtureSpace) -> tuple[Any, ...]:
    """What fits look at of a space."""
    return (*space.domains, None if space.similarity is None else space.similarity.matrix)


def _one(surrogate: str, space: MixtureSpace, runs: Runs, direction: Direction) -> Fitted:
    """The surrogate fitted once to runs turned so that higher scores are better, whatever is then
    asked of it."""
    runs = turn(runs, direction)
    of = (surrogate, *_of(space), *_arrays_of(runs))
    return _cached(of, lambda: [fit(surrogate, space, runs, SEED)])[0]


def diagnosed(
    surrogate: str,
    space: MixtureSpace,
    runs: Runs,
    direction: Direction,
    compare: FloatArray | None,
) -> Diagnosis:
    """Everything there is to say about a surrogate; `compare`: as `diagnose` takes it."""
    fitted = _one(surrogate, space, runs, direction)
    return diagnose(surrogate, space, runs, SEED, direction, compare=compare, fitted=fitted)


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
    mean, sd = _one(surrogate, space, runs, direction).predict(mixtures)
    return sign_of(direction) * mean, sd


def predict_each(
    surrogate: str, space: MixtureSpace, runs: Runs, others: Sequence[Runs], mixtures: FloatArray
) -> list[tuple[FloatArray, FloatArray]]:
    """The same of other scores, each with a model of the kind that suits the objective."""
    of = (
        surrogate,
        *_of(space),
        *_arrays_of(runs),
        *(part for other in others for part in _arrays_of(other)),
    )
    fitted = _cached(of, lambda: fit_each(surrogate, space, runs, others, SEED))
    return [one.predict(mixtures) for one in fitted]


def verdict(
    space: MixtureSpace,
    runs: Runs,
    mixtures: FloatArray,
    direction: Direction,
    among: Iterable[str] = tuple(SIDE_BY_SIDE),
) -> Verdict:
    """`auto`'s average, of the fits that predictions are made with.

    Args:
        among: names in `SIDE_BY_SIDE`.
    """
    able = {
        name: _one(name, space, runs, direction)
        for name in among
        if scores_for(made := SIDE_BY_SIDE[name](), runs) <= made.max_runs
    }
    densities = {name: log_density(fitted) for name, fitted in able.items()}
    averaged = average(list(able.values()))
    belief = averaged.posterior(mixtures)
    turned = Posterior(sign_of(direction) * belief.mean, belief.covariance)
    return Verdict(dict(named_shares(averaged)), densities, turned)
