"""What surrogates believe of a goal: one of each output, and draws of all of them together.

Outputs are taken to be independent given the mixture, as benchmarks are where a surrogate of
several adds them up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.search.draws import draws
from service.search.goals import Goal
from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates import SIDE_BY_SIDE, Fitted, fit, fit_each, is_installed
from service.search.surrogates.automatic import average
from service.search.surrogates.protocol import scores_for

PURSUING = ("auto", "bayes-quadratic", "gp")
"""Surrogates, and strategies by them, that can pursue a goal: their beliefs can be drawn from."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """S draws of what a goal asks about k mixtures.

    Attributes:
        values: (S, J, k) what is to be improved.
        spare: (S, F, k) how far above each floor.
    """

    values: FloatArray
    spare: FloatArray

    @property
    def holds(self) -> NDArray[np.bool_]:
        """(S, k) whether all floors hold."""
        return np.asarray((self.spare >= 0).all(axis=1))

    @property
    def chances(self) -> FloatArray:
        """(F, k) probability that each floor holds."""
        found: FloatArray = (self.spare >= 0).mean(axis=0)
        return found

    @property
    def together(self) -> FloatArray:
        """(k,) probability that all floors hold together."""
        found: FloatArray = self.holds.mean(axis=0)
        return found


@dataclass(frozen=True, eq=False)
class Beliefs:
    """A surrogate of each output of a goal."""

    goal: Goal
    space: MixtureSpace
    runs: Runs
    fits: list[Fitted]

    @classmethod
    def fitted(cls, name: str, goal: Goal, space: MixtureSpace, runs: Runs, seed: int) -> Beliefs:
        """By one of `PURSUING`, to runs with the benchmarks that the goal's outputs are made of.

        Raises:
            CannotFitError: too few runs, or too many.
        """
        each = [of_output(runs, share) for share in goal.shares]
        is_alone = [int((share > 0).sum()) == 1 for share in goal.shares]
        single = [one for one, alone in zip(each, is_alone, strict=True) if alone]
        alone_fits = iter(_each_alone(name, space, runs, single, seed) if single else [])
        fits = [
            next(alone_fits) if alone else fit(name, space, one, seed)
            for one, alone in zip(each, is_alone, strict=True)
        ]
        return cls(goal, space, runs, fits)

    @property
    def uniform(self) -> FloatArray:
        """(m,) equal weights of the domains that may be used, whether these may be run or not."""
        allowed = self.space.upper > 0
        equal: FloatArray = allowed / allowed.sum()
        return equal

    def draw(self, X: FloatArray, n: int, rng: np.random.Generator) -> Drawn:
        """Of mixtures (k, m); equal weights are drawn along with them."""
        X = np.vstack([self.uniform[None], X])
        outputs = np.stack([draws(one, X, n, rng) for one in self.fits], axis=1)
        uniform, outputs = outputs[:, :, 0], outputs[:, :, 1:]
        return Drawn(self.goal.values(outputs, uniform), self.goal.spare(outputs, uniform))

    def score(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation (k,) of the number that the study is listed by."""
        each = [one.predict(X) for one in self.fits]
        means, sds = np.array([mean for mean, _ in each]), np.array([sd for _, sd in each])
        return self.goal.score @ means, np.sqrt(self.goal.score**2 @ sds**2)

    @property
    def kind(self) -> str:
        """What each output's surrogate chose to be, in words."""
        names = self.goal.names
        said = [f"{name}: {one.kind}" for name, one in zip(names, self.fits, strict=True)]
        return "; ".join(said)


def of_output(runs: Runs, share: FloatArray) -> Runs:
    """Runs scored by a weighted mean of their benchmarks (B,), in every channel."""
    used = share > 0
    unknown = np.full(len(runs), np.nan)
    parts = {}
    if used.sum() > 1:
        parts = {
            "benchmarks": runs.benchmarks[:, used],
            "benchmark_sd": runs.benchmark_sd[:, used],
            "shares": share[used],
        }
    return Runs(
        runs.weights,
        runs.benchmarks @ share,
        np.sqrt(runs.benchmark_sd[:, used] ** 2 @ share[used] ** 2),
        unknown,
        unknown,
        run=runs.run,
        channels={name: of_output(channel, share) for name, channel in runs.channels.items()},
        **parts,
    )


def _each_alone(
    name: str, space: MixtureSpace, runs: Runs, outputs: list[Runs], seed: int
) -> list[Fitted]:
    """Outputs of one benchmark, with surrogates of the kind that suits the objective: many of them
    would take long to choose for."""
    names = [name] if name != "auto" else [one for one in SIDE_BY_SIDE if is_installed(one)]
    able = [
        one
        for one in names
        if name != "auto" or scores_for(made := SIDE_BY_SIDE[one](), runs) <= made.max_runs
    ]
    by_name = [fit_each(one, space, runs, outputs, seed) for one in able]
    return [average(fits) for fits in zip(*by_name, strict=True)]
