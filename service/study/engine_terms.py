"""A study's specification in the engine's terms: its space, goal, wishes and steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.schemas import SUM_TOLERANCE, LimitSpec, StudySpec
from service.search.goals import Floor, Goal
from service.search.heuristics import HeuristicOptions
from service.search.limits import LinearLimit
from service.search.schedules import ScheduleSpace, of_phases
from service.search.similarity import Similarity
from service.search.space import MixtureSpace, expected_steps


class Mixed(Protocol):
    """Whatever has a mixture."""

    @property
    def mixture(self) -> dict[str, float]: ...


M = TypeVar("M", bound=Mixed)


def space(spec: StudySpec) -> MixtureSpace:
    """The mixtures that the study may propose.

    Raises:
        ValueError: there are none; the message names what contradicts each other.
    """
    names = tuple(domain.name for domain in spec.domains)
    found = MixtureSpace(
        names,
        np.array([domain.lower for domain in spec.domains]),
        np.array([domain.upper for domain in spec.domains]),
        tuple(_limit(limit) for limit in spec.limits),
        spec.max_active,
        np.array([domain.zero_or_at_least for domain in spec.domains]),
        Similarity.of(names, spec.similar_pairs),
    )
    if spec.reach is None or not spec.reach.enforce:
        return found
    prompts = spec.reach.steps * spec.reach.prompts_per_step
    samples = [domain.samples for domain in spec.domains]
    return found.within_reach(samples, prompts, spec.reach.epochs)


def search_space(spec: StudySpec) -> MixtureSpace:
    """What the search proposes: mixtures of `space`, or schedules whose means are in it.

    Raises:
        ValueError: there are none; the message names what contradicts each other.
    """
    wanted = spec.search.schedule
    return space(spec) if wanted is None else ScheduleSpace(space(spec), wanted.of_each)


def _limit(limit: LimitSpec) -> LinearLimit:
    if limit.at_most is not None:
        return LinearLimit(limit.weights, limit.at_most, limit.describe())
    turned = {name: -c for name, c in limit.weights.items()}
    return LinearLimit(turned, -(limit.at_least or 0.0), limit.describe())


def allowed(spec: StudySpec, runs: Sequence[M]) -> Sequence[M]:
    """Those whose mixture the study may still propose: one that was edited may be narrower."""
    if not runs:
        return runs
    inside = space(spec).contains(weights(spec, [run.mixture for run in runs]), SUM_TOLERANCE)
    return [run for run, is_inside in zip(runs, inside, strict=True) if is_inside]


def weights(spec: StudySpec, mixtures: Sequence[dict[str, float]]) -> NDArray[np.float64]:
    """Mixtures as an (n, m) array in the study's domain order."""
    names = [domain.name for domain in spec.domains]
    rows = [[mixture.get(name, 0.0) for name in names] for mixture in mixtures]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(names))


Schedule = Sequence[Mapping[str, Any]]
"""Phases as they are stored, each with its `share` and its `mixture`; none of a plain run."""


def points(
    spec: StudySpec, runs: Sequence[tuple[dict[str, float], Schedule | None]]
) -> NDArray[np.float64]:
    """What the search tells runs apart by, of mixtures with their schedules: mixtures (n, m), or,
    where it proposes schedules, points (n, P m) of these."""
    wanted = spec.search.schedule
    if wanted is None:
        return weights(spec, [mixture for mixture, _ in runs])
    shares = np.array(wanted.of_each)
    found = []
    for mixture, schedule in runs:
        phases = schedule or [{"share": 1.0, "mixture": mixture}]
        lengths = np.array([phase["share"] for phase in phases])
        found.append(of_phases(weights(spec, [p["mixture"] for p in phases]), lengths, shares))
    return np.array(found).reshape(len(runs), len(shares) * len(spec.domains))


def heuristics(spec: StudySpec) -> HeuristicOptions:
    """The study's wishes for heuristics in the engine's terms."""
    names = [domain.name for domain in spec.domains]
    left_out = tuple(names.index(name) for name in spec.heuristics.leave_out)
    return HeuristicOptions(spec.heuristics.alpha_single, left_out)


def goal(spec: StudySpec) -> Goal | None:
    """What the study wants beside, or instead of, its objective, in the engine's terms: its outputs
    are made of the benchmarks of `Evidence.measured`. None where the objective is all."""
    if not spec.has_goal:
        return None
    weights, benchmarks = output_weights(spec), spec.needed_benchmarks()
    names = list(weights)
    shares = np.array([[each.get(b, 0.0) for b in benchmarks] for each in weights.values()])
    if spec.objective.worst:
        objectives = list(spec.objective_weights())
        score = spec.objective_weights()
    else:
        objectives = spec.objectives or [spec.objective.name]
        score = {spec.objective.name: 1.0}
    total = sum(score.values())
    return Goal(
        tuple(names),
        shares / shares.sum(axis=1, keepdims=True),
        np.array([score.get(name, 0.0) / total for name in names]),
        tuple(names.index(name) for name in objectives),
        spec.objective.worst,
        tuple(
            Floor(names.index(floor.benchmark), floor.level, floor.probability)
            for floor in spec.constraints
        ),
    )


def output_weights(spec: StudySpec) -> dict[str, dict[str, float]]:
    """Weights of benchmarks in each score that the study's goal looks at, by the score's name."""
    if spec.objective.worst:
        wanted = [*spec.objective_weights()]
        found = {name: {name: 1.0} for name in wanted}
    else:
        found = {}
        wanted = [*(spec.objectives or [spec.objective.name])]
    for name in (*wanted, *(floor.benchmark for floor in spec.constraints)):
        found.setdefault(name, spec.score_weights(name))
    return found


def steps_of(spec: StudySpec) -> tuple[int | None, Sequence[int]]:
    """The steps of a whole run as the recipe says, and those that it is scored at on the way; None,
    and none, where it does not say."""
    steps, evaluation = spec.recipe.get("steps"), spec.recipe.get("evaluation")
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        return None, []
    at = evaluation.get("at") if isinstance(evaluation, dict) else None
    points = at if isinstance(at, list) else []
    return steps, [step for step in points if isinstance(step, int) and step < steps]


def reach_in_words(spec: StudySpec, mixture: NDArray[np.float64]) -> str:
    """Which domain of a mixture (m,) runs out before the run is over, and when; else nothing."""
    if spec.reach is None:
        return ""
    samples = [domain.samples for domain in spec.domains]
    steps, first = expected_steps(mixture, samples, spec.reach.prompts_per_step, spec.reach.epochs)
    if first is None or steps >= spec.reach.steps:
        return ""
    return f"; {spec.domains[first].name} runs out about step {steps:.0f} of {spec.reach.steps}"
