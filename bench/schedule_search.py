"""What a search of schedules finds with as many runs as one of mixtures: where the order does what
real runs tell, and where it does nothing.

`python -m bench.schedule_search [--seeds 30] [--again]`
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated

import numpy as np
import typer

from bench import intervals, schedules, units, world
from bench.goal_worlds import shares_of
from bench.report import table, write_section
from bench.tiny_world import DOMAINS
from service.search.quadratics import Blend, Phased, climb
from service.search.runs import Runs
from service.search.schedules import ScheduleSpace
from service.search.space import SAME, FloatArray, MixtureSpace, total_variation
from service.search.strategies import propose, recommend
from service.search.surrogates.bayes_quadratic import BayesQuadratic
from service.search.surrogates.phased import PhasedPart
from trainer.tiny.world import BENCHMARKS

SEEDS = 30
STRATEGY = "bayes-quadratic"
BUDGET = 24
ASKED = (14, 18, BUDGET)
"""Runs after which it is asked what to train."""
SPACE = ScheduleSpace(MixtureSpace.simplex(DOMAINS), (0.5, 0.5))
POWER = 0.5
"""The emulator is a quadratic of square roots: effects saturate."""
STATIC, MATTERS, NOTHING = "mixtures", "schedules, the order matters", "schedules, it does not"
ARMS = (STATIC, MATTERS, NOTHING)


@dataclass(frozen=True, eq=False)
class Emulator:
    """Out-Score of schedules of two halves, in points of 100.

    Attributes:
        whole: the mean of what real runs tell.
        noise: standard deviation of a run.
        order: probability by those runs that the order does something.
        n, n_schedules: real runs, and how many of them had a schedule.
    """

    whole: Phased
    noise: float
    order: float
    n: int
    n_schedules: int

    def score(self, points: FloatArray, *, by_order: bool) -> FloatArray:
        """(k,) of points (k, P m), without the noise of runs."""
        return self.whole(points if by_order else SPACE.and_plainer(points)[len(points) :])

    @property
    def best(self) -> tuple[float, float]:
        """The highest score of a mixture, and of a schedule."""
        starts = SPACE.mixtures.sample(2000, np.random.default_rng(0))
        mixture = climb(self.whole.mean, SPACE.mixtures, starts)
        starts = np.vstack([SPACE.sample(2000, np.random.default_rng(0)), _plain(mixture.weights)])
        return mixture.value, climb(Blend([self.whole], np.ones(1)), SPACE, starts).value


@cache
def emulator() -> Emulator:
    """Fitted to a beginning of the table of real runs, whose mixtures stayed the same, and to what
    `bench.schedules` ran of schedules and judged of the mixture that is their mean."""
    mixtures, rows = world.load(first=world.BEGINNING)
    found = [
        (_plain(np.array(mixtures[row.mixture])), row.scores, 100.0)
        for row in rows
        if row.kind == "run" and row.is_last
    ]
    changing = {
        how: np.array([phase.share * phase.mixture[name] for phase in phases for name in DOMAINS])
        for how, phases in schedules.schedules().items()
    }
    static = _plain(np.array([schedules.mixture()[name] for name in DOMAINS]))
    # The runs that chose a static mixture came after the searches that are stored.
    plain = [f"{schedules.STATIC}/{seed}" for seed in schedules.JUDGING]
    n_schedules = 0
    for key, figures in units.stored("schedules").items():
        how = key.rpartition("/")[0]
        if how in changing or key in plain:
            found.append((changing.get(how, static), figures["scores"], 1.0))
            n_schedules += how in changing
    out = np.array([[by * scores[name] for name in BENCHMARKS] for _, scores, by in found])
    points = np.array([point for point, _, _ in found])
    fitted = BayesQuadratic((POWER,)).fit(SPACE, _runs(points, out @ shares_of("out")), 0)
    (part,) = fitted.parts
    whole = part.mean
    assert isinstance(part, PhasedPart)
    assert isinstance(whole, Phased)
    return Emulator(whole, fitted.noise_sd, part.order, len(found), n_schedules)


def search(how: str, seed: int) -> units.Figures:
    """One search, a run at a time: by the number of runs, the true score of what it would train,
    and how far its order is from staying the same; and how many of the runs were schedules."""
    warnings.filterwarnings("ignore")
    truth, rng = emulator(), np.random.default_rng([seed, 3])
    space = SPACE.mixtures if how == STATIC else SPACE
    X, y = np.empty((0, space.m)), np.empty(0)
    score: dict[str, float] = {}

    def true(X: FloatArray) -> FloatArray:
        points = SPACE.unchanging(X) if how == STATIC else X
        return truth.score(points, by_order=how == MATTERS)

    for n in range(1, BUDGET + 1):
        none = np.empty((0, space.m))
        (item,) = propose(STRATEGY, space, _runs(X, y), none, 1, 1000 * seed + n, budget=BUDGET)
        X = np.vstack([X, item.weights])
        y = np.append(y, true(item.weights[None]) + truth.noise * rng.normal())
        if n in ASKED:
            chosen = recommend(STRATEGY, space, _runs(X, y), seed).weights
            score[str(n)] = float(true(chosen[None])[0])
    changing = 0
    if how != STATIC:
        plain = SPACE.and_plainer(X)[len(X) :]
        changing = int((total_variation(X, plain) > SAME).sum())
    return {"score": score, "changing": changing}


def _plain(mixture: FloatArray) -> FloatArray:
    point: FloatArray = SPACE.unchanging(mixture[None])[0]
    return point


def _runs(X: FloatArray, y: FloatArray) -> Runs:
    nothing = np.full(len(y), np.nan)
    return Runs(X, y, nothing, nothing, nothing)


def main(
    seeds: Annotated[int, typer.Option(help="Searches of each kind.")] = SEEDS,
    parallel: Annotated[int, typer.Option(help="Searches at a time.")] = 2,
    again: Annotated[bool, typer.Option(help="Compute stored figures anew.")] = False,
) -> None:
    wanted = {f"{how}/{seed}": (how, seed) for seed in range(seeds) for how in ARMS}
    found = units.compute("schedule_search", search, wanted, again=again, parallel=parallel)
    write_section("schedule_search", report(found, seeds, emulator()))


def report(found: Mapping[str, units.Figures], seeds: int, truth: Emulator) -> str:
    def of(how: str, n: int) -> intervals.Values:
        return np.array([found[f"{how}/{seed}"]["score"][str(n)] for seed in range(seeds)])

    best, best_schedule = truth.best
    rows = []
    for how in ARMS:
        changing = np.mean([found[f"{how}/{seed}"]["changing"] for seed in range(seeds)])
        rows.append([how, *(intervals.mean(of(how, n)) for n in ASKED), f"{changing:.0f}"])
    gains = [f"- {how}: {intervals.gain(of(how, BUDGET), of(STATIC, BUDGET))}" for how in ARMS[1:]]
    return f"""
**At equal search cost.** `{STRATEGY}` searches mixtures, or schedules of two halves, a run at a
time, {BUDGET} runs in all, {seeds} searches of each kind. A run is not trained but scored by an
emulator of the offline world: a quadratic of square roots with what the order adds, the mean of
what {truth.n} real runs tell, {truth.n_schedules} of them schedules; by these it is
{truth.order:.0%} likely that the order matters at all. A run's noise is theirs, {truth.noise:.1f}
points. The best mixture scores {best:.1f} there, the best schedule {best_schedule:.1f}: how much
that is in truth, so few schedules do not say. Where *it does not* matter, the emulator is that of
the mean mixture alone. True Out-Score of what would be trained after so many runs, with 95%
intervals over searches, and how many of the runs were schedules:

{table(["searched", *(f"{n} runs" for n in ASKED), "schedules"], rows)}

After {BUDGET} runs, over the search of mixtures:

{chr(10).join(gains)}
"""


if __name__ == "__main__":
    typer.run(main)
