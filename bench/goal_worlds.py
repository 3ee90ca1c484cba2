"""Worlds with several benchmarks: the table of real runs, and emulators of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from bench import world
from service.notation.levels import Level
from service.search.fronts import hypervolume, on_front
from service.search.goals import Floor, Goal
from service.search.listed import ListedSpace
from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace, total_variation
from service.search.surrogates import fit
from service.search.surrogates.bayes_quadratic import BayesQuadratic
from trainer.tiny.world import BENCHMARKS, DOMAIN_SIZES

OFFLINE = "offline world"
EMULATORS = {"quadratic emulator": 1.0, "root emulator": 0.5}
"""Power of the weights that each is a quadratic in."""
WORLDS = (OFFLINE, *EMULATORS)
SAMPLES = 2000
WEIGHINGS = 41


@dataclass(frozen=True, eq=False)
class World:
    """What can be run, and the truth behind it; higher is better.

    Attributes:
        true: (k, m) mixtures to (k, B) scores without the noise of runs, as far as it can be told.
        run: a mixture (m,) to (B,) scores of a new run.
    """

    space: MixtureSpace
    true: Callable[[FloatArray], FloatArray]
    run: Callable[[FloatArray, np.random.Generator], FloatArray]

    def runnable(self, weights: FloatArray) -> FloatArray:
        """The mixture itself, or the nearest of the list."""
        return weights if self.space.listed() is None else self.space.project(weights)

    @property
    def everything(self) -> FloatArray:
        """(k, m) mixtures all over the space."""
        listed = self.space.listed()
        if listed is not None:
            return listed
        rng = np.random.default_rng(0)
        return np.vstack([self.space.vertices(), self.space.sample(SAMPLES, rng)])


def shares_of(group: str) -> FloatArray:
    """(B,) of the benchmarks in In- or Out-Score."""
    samples = np.array([n if g == group else 0.0 for g, n in BENCHMARKS.values()], dtype=float)
    return samples / samples.sum()


def front_goal() -> Goal:
    """Out-Score and In-Score."""
    shares = np.array([shares_of("out"), shares_of("in")])
    return Goal(("out_score", "in_score"), shares, np.array([1.0, 0.0]), (0, 1))


def floors_goal(seed: int, probability: float) -> Goal:
    """Out-Score, with floors near what equal weights score under two benchmarks drawn by seed."""
    rng = np.random.default_rng([seed, 20])
    names = list(BENCHMARKS)
    drawn = rng.choice(len(names), size=2, replace=False)
    off = rng.choice([-0.02, 0.0, 0.02], size=2)
    return Goal(
        ("out_score", *(names[b] for b in drawn)),
        np.vstack([shares_of("out"), np.eye(len(names))[drawn]]),
        np.array([1.0, 0.0, 0.0]),
        (0,),
        floors=tuple(
            Floor(1 + i, Level(float(by), is_relative=True), probability)
            for i, by in enumerate(off)
        ),
    )


@dataclass(frozen=True, eq=False)
class Judge:
    """The truth about a goal in a world."""

    world: World
    goal: Goal

    def _outputs(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        both = self.goal.outputs(self.world.true(np.vstack([self.world.space.uniform[None], X])))
        return both[:, 1:], both[:, 0]

    def keeps(self, weights: FloatArray) -> bool:
        """Whether a mixture (m,) truly keeps all floors."""
        return bool((self.goal.spare(*self._outputs(weights[None])) >= 0).all())

    def regret(self, weights: FloatArray) -> float:
        """How far below the best of what truly keeps the floors, in points of 100; below 0 where
        it is better because it breaks one."""
        return 100 * float(self._best - self._outputs(weights[None])[0][0, 0])

    @cached_property
    def _best(self) -> float:
        """The highest first output of what keeps the floors; NaN where nothing does."""

        def kept(X: FloatArray) -> FloatArray:
            outputs, uniform = self._outputs(X)
            short = np.minimum(self.goal.spare(outputs, uniform), 0).sum(axis=0)
            return np.where(short < 0, short - 10.0, outputs[0])

        X = self.world.everything
        best = self.world.space.maximise(kept, np.random.default_rng(0), also=X)
        return float(kept(best[None])[0]) if self.keeps(best) else np.nan

    def volume(self, X: FloatArray) -> float:
        """Hypervolume below mixtures (k, m) as a share of that below the true front."""
        return hypervolume(self._outputs(X)[0].T, self._below) / self._most

    @cached_property
    def _below(self) -> FloatArray:
        """(J,) the worst of each objective all over the space."""
        return self._outputs(self.world.everything)[0].min(axis=1)

    @cached_property
    def _most(self) -> float:
        """Hypervolume below the true front: of the best for each way to weigh two objectives, and
        of mixtures all over the space."""
        rng, space = np.random.default_rng(0), self.world.space
        X = self.world.everything
        Y = self._outputs(X)[0]
        found = [X]
        for w in np.linspace(0, 1, WEIGHINGS):
            share = np.array([w, 1 - w])
            best = space.maximise(
                lambda Z, share=share: share @ self._outputs(Z)[0],
                rng,
                also=X[[int(np.argmax(share @ Y))]],
                n=1,
            )
            found.append(best[None])
        front = self._outputs(np.vstack(found))[0].T
        return hypervolume(front[on_front(front)], self._below)


@cache
def world_of(name: str) -> World:
    """One of `WORLDS`."""
    X, scores = _table()
    noise = scores.std(axis=1, ddof=1)
    noise = np.sqrt((noise**2).mean(axis=0))
    twice = np.repeat(X, 2, axis=0)
    each = [_alone(twice, scores[:, :, b].reshape(-1)) for b in range(scores.shape[2])]
    domains = tuple(DOMAIN_SIZES)
    if name == OFFLINE:
        m = len(domains)
        space = ListedSpace(domains, np.zeros(m), np.ones(m), rows=X)
        believed = np.array([fit("gp", space, one, 0).predict(X)[0] for one in each]).T

        def place(x: FloatArray) -> int:
            return int(np.argmin(total_variation(x, X)))

        return World(
            space,
            lambda Z: believed[[place(z) for z in Z]],
            lambda x, rng: scores[place(x), rng.integers(2)],
        )
    space = MixtureSpace.simplex(domains)
    model = BayesQuadratic((EMULATORS[name],))
    means = [model.fit(space, one, 0).parts[0].mean for one in each]

    def true(Z: FloatArray) -> FloatArray:
        return np.array([mean(Z) for mean in means]).T

    return World(space, true, lambda x, rng: true(x[None])[0] + noise * rng.normal(size=len(noise)))


def _table() -> tuple[FloatArray, FloatArray]:
    """(k, m) mixtures with two runs, and (k, 2, B) what these scored at their end."""
    mixtures, scored = world.load(first=world.BEGINNING)
    found: dict[str, list[list[float]]] = defaultdict(list)
    for one in scored:
        if one.kind == "run" and one.is_last:
            found[one.mixture].append([one.scores[name] for name in BENCHMARKS])
    kept = [name for name, runs in found.items() if len(runs) == 2]
    X = np.array([mixtures[name] for name in kept])
    return X / X.sum(axis=1, keepdims=True), np.array([found[name] for name in kept])


def _alone(X: FloatArray, y: FloatArray) -> Runs:
    unknown = np.full(len(y), np.nan)
    return Runs(X, y, unknown, unknown, unknown)
