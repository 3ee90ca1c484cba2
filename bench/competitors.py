"""Who searches: our strategies, and the peers, behind one question and one answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.strategies import STRATEGIES, propose, recommend
from service.search.surrogates import fit

CANDIDATES = 100_000
TOP = 100
"""RegMix predicts 100,000 Dirichlet mixtures and averages the best 100 (Liu et al., 2024)."""


@dataclass(frozen=True, slots=True)
class Competitor:
    """A way to search.

    Attributes:
        ask: space, runs so far, how many, seed -> (n, m) mixtures to run.
        choose: space, runs so far, seed -> (m,) the mixture it would train with.
    """

    ask: Callable[[MixtureSpace, Runs, int, int], FloatArray]
    choose: Callable[[MixtureSpace, Runs, int], FloatArray]


def competitor(name: str) -> Competitor:
    """Any strategy, `regmix`, `optuna-tpe` or `optuna-gp`."""
    if name in STRATEGIES:
        return Competitor(
            lambda space, runs, n, seed: _proposed(name, space, runs, n, seed),
            lambda space, runs, seed: recommend(name, space, runs, seed).weights,
        )
    if name == "regmix":
        return Competitor(
            lambda space, runs, n, seed: space.sample(n, np.random.default_rng(seed)),
            _regmix_choice,
        )
    return Competitor(
        lambda space, runs, n, seed: _optuna(name, space, runs, n, seed),
        lambda space, runs, seed: runs.weights[int(np.argmax(runs.score))],
    )


def _proposed(name: str, space: MixtureSpace, runs: Runs, n: int, seed: int) -> FloatArray:
    found = propose(name, space, runs, np.empty((0, space.m)), n, seed)
    return np.array([item.weights for item in found])


def _regmix_choice(space: MixtureSpace, runs: Runs, seed: int) -> FloatArray:
    if len(runs) < 3:
        return runs.weights[int(np.argmax(runs.score))]
    fitted = fit("lightgbm", space, runs, seed)
    listed = space.listed()
    X = space.sample(CANDIDATES, np.random.default_rng(seed)) if listed is None else listed
    guess = fitted.guess(X)  # type: ignore[attr-defined]
    if listed is not None:
        best: FloatArray = listed[int(np.argmax(guess))]
        return best
    mean: FloatArray = X[np.argsort(-guess, kind="stable")[:TOP]].mean(axis=0)
    return mean


def _optuna(name: str, space: MixtureSpace, runs: Runs, n: int, seed: int) -> FloatArray:
    """Weights are normalised logs of uniform numbers, as Optuna's FAQ has it for a simplex.

    The study is made anew from the runs, mixtures of this batch are running trials.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers: dict[str, Callable[[], Any]] = {
        "optuna-tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
        "optuna-gp": lambda: optuna.samplers.GPSampler(seed=seed),
    }
    study = optuna.create_study(direction="maximize", sampler=samplers[name]())
    names = [f"x{i}" for i in range(space.m)]
    uniform = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in names}
    for weights, score in zip(runs.weights, runs.score, strict=True):
        # -log x proportional to the weights; the factor that keeps x inside is free.
        x = np.clip(np.exp(-weights / max(weights.max(), 1e-9)), 1e-6, 1 - 1e-6)
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(zip(names, map(float, x), strict=True)),
                distributions=uniform,
                value=float(score),
            )
        )
    found = []
    for _ in range(n):
        trial = study.ask(uniform)
        part = -np.log(np.clip([trial.params[name] for name in names], 1e-12, 1 - 1e-12))
        found.append(part / part.sum())
    return np.array(found)
