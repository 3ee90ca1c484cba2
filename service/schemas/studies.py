"""A study: what it is created with, what of it changes, and what is stored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from service.notation import alike
from service.schemas import goals, phases
from service.schemas.scores import Measurement, Score, Scores, last_measurements
from service.schemas.spec import (
    BenchmarkSpec,
    DomainSpec,
    EvidenceSpec,
    FloorSpec,
    HeuristicsSpec,
    LimitSpec,
    Objective,
    Reach,
    RequiresSpec,
    SearchSpec,
    SimilaritySpec,
)
from service.schemas.values import (
    AGGREGATES,
    SUM_TOLERANCE,
    Body,
    JsonObject,
    Name,
    StudyState,
    Text,
    TrialState,
)

MAX_BUDGET = 100_000
StudyWeight = Annotated[float, Field(ge=0.001, le=1000.0)]
GpuHours = Annotated[float, Field(gt=0.0, le=1e9)]


class StudySpec(Body):
    """What a study is; the body of `POST /studies`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "vlm",
                    "domains": [
                        {"name": "coco", "samples": 5997, "upper": 0.5},
                        {"name": "sat", "samples": 15000},
                    ],
                    "benchmarks": [
                        {"name": "sat", "group": "in", "samples": 1928},
                        {"name": "chartqa", "group": "out", "samples": 2500},
                    ],
                    "budget": 24,
                    "recipe": {"steps": 24},
                }
            ]
        }
    )

    name: Name
    domains: Annotated[list[DomainSpec], Field(min_length=1, max_length=64)]
    benchmarks: Annotated[list[BenchmarkSpec], Field(min_length=1, max_length=256)]
    objective: Objective = Objective()
    objectives: Annotated[list[Name], Field(max_length=3)] = Field(default_factory=list)
    """Two or three scores to improve together, each `in_score`, `out_score`, the objective's own
    name or a benchmark's; `objective`, by which runs are listed, is the first of them unless it
    says otherwise. Empty for the objective alone."""
    constraints: Annotated[list[FloorSpec], Field(max_length=16)] = Field(default_factory=list)
    """Floors under scores."""
    limits: Annotated[list[LimitSpec], Field(max_length=64)] = Field(default_factory=list)
    max_active: Annotated[int, Field(ge=1, le=64)] | None = None
    """Most domains that a mixture uses."""
    reach: Reach | None = None
    similarity: SimilaritySpec = Field(default_factory=dict)
    """How alike domains are: a new one is taken to do about what those do that it is like, as far
    as runs show that similar domains do alike."""
    strategy: Name = "auto"
    opening: Literal["optimal", "seeds"] = "optimal"
    """What the surrogate strategies begin with: an optimal design, or the paper's seeds."""
    heuristics: HeuristicsSpec = HeuristicsSpec()
    evidence: Annotated[list[EvidenceSpec], Field(max_length=16)] = Field(default_factory=list)
    """Other studies whose completed runs count as evidence, as far as it is found to carry over.
    Domains are matched by name."""
    search: SearchSpec = SearchSpec()
    recipe: JsonObject = Field(default_factory=dict)
    """Handed to workers as it is. One that is not empty is refused when no worker could run it on
    these domains and benchmarks (`trainer/recipe.py`); an empty one leaves all to who trains."""
    budget: Annotated[int, Field(ge=1, le=MAX_BUDGET)] = 32
    """Number of completed trials after which no more are proposed; runs that were added finished do
    not count. 32 unless `gpu_hours` is the budget."""
    gpu_hours: GpuHours | None = None
    """No more trials are proposed than these last for, at what one has cost so far."""
    baseline: Annotated[list[Measurement], Field(max_length=2000)] = Field(default_factory=list)
    """Scores of the base model before any training, to compare with."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    lease_s: Annotated[float, Field(ge=1.0, le=86_400.0)] = 120.0
    lookahead: Annotated[int, Field(ge=1, le=1000)] = 2
    """Proposals kept ready for workers to claim."""
    weight: StudyWeight = 1.0
    """Of studies that share workers each gets GPUs in proportion to its weight."""
    requires: RequiresSpec = RequiresSpec()
    """What a worker must have to be given one of its trials."""
    note: Text = ""

    @model_validator(mode="after")
    def _hours_alone(self) -> Self:
        if self.gpu_hours is not None and "budget" not in self.model_fields_set:
            self.budget = MAX_BUDGET
        return self

    @model_validator(mode="after")
    def _listed_by_an_objective(self) -> Self:
        """Runs are listed by the first of several objectives where nothing else is said."""
        if self.objectives and "objective" not in self.model_fields_set:
            first = self.objectives[0]
            weights = None if first in AGGREGATES else {first: 1.0}
            self.objective = Objective(name=first, weights=weights)
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for what, names in (
            ("domain", [d.name for d in self.domains]),
            ("benchmark", [b.name for b in self.benchmarks]),
            ("evidence of study", [e.study for e in self.evidence]),
        ):
            doubles = sorted({n for n in names if names.count(n) > 1})
            if doubles:
                raise ValueError(f"{what} {doubles[0]!r} is listed more than once")
        low, high = sum(d.lower for d in self.domains), sum(d.upper for d in self.domains)
        if low > 1 + 1e-12:
            raise ValueError(f"lower weights sum to {low:.13g}, above 1: no mixture fits")
        if high < 1 - 1e-12:
            raise ValueError(f"upper weights sum to {high:.13g}, below 1: no mixture fits")
        if self.name in (e.study for e in self.evidence):
            raise ValueError(f"evidence names this very study, {self.name!r}; name an earlier one")
        alike.pairs(self.similarity, [domain.name for domain in self.domains])
        known = {domain.name for domain in self.domains}
        self._check_left_out(known)
        for limit in self.limits:
            strange = sorted(limit.weights.keys() - known)
            if strange:
                raise ValueError(
                    f"limit '{limit.describe()}' names unknown domain {strange[0]!r} "
                    f"(known: {', '.join(sorted(known))})"
                )
        weights = self.objective_weights()
        unknown = sorted(set(weights) - {b.name for b in self.benchmarks})
        if unknown:
            raise ValueError(
                f"objective {self.objective.name!r} weighs unknown benchmark {unknown[0]!r} "
                f"(known: {', '.join(b.name for b in self.benchmarks)})"
            )
        if not weights:
            group = "in" if self.objective.name == "in_score" else "out"
            raise ValueError(
                f"objective {self.objective.name!r} needs a benchmark of group {group!r}"
            )
        goals.check(self)
        phases.check(self)
        return self

    def _check_left_out(self, known: set[str]) -> None:
        left_out = set(self.heuristics.leave_out)
        strange = sorted(left_out - known)
        if strange:
            raise ValueError(
                f"heuristics.leave_out names unknown domain {strange[0]!r} "
                f"(known: {', '.join(sorted(known))})"
            )
        if left_out == known:
            raise ValueError("heuristics.leave_out names every domain: nothing is left to weigh")

    @property
    def dropped(self) -> frozenset[str]:
        """Domains that no mixture is to have any of."""
        return frozenset(domain.name for domain in self.domains if domain.upper == 0)

    def group_weights(self, group: Literal["in", "out"]) -> dict[str, float]:
        """Benchmarks of a group with their sample counts: the weights of In- or Out-Score."""
        return {b.name: float(b.samples) for b in self.benchmarks if b.group == group}

    def objective_weights(self) -> dict[str, float]:
        if self.objective.weights is not None:
            return dict(self.objective.weights)
        if self.objective.worst:
            return {b.name: 1.0 for b in self.benchmarks}
        return self.group_weights("in" if self.objective.name == "in_score" else "out")

    def score_weights(self, name: str) -> dict[str, float]:
        """Benchmarks that make up a score by its name, with their weights: `in_score`, `out_score`,
        the objective's own, or one benchmark; empty where there is no such score."""
        if name in AGGREGATES:
            return self.group_weights("in" if name == "in_score" else "out")
        if name == self.objective.name:
            return self.objective_weights()
        return {name: 1.0} if name in (b.name for b in self.benchmarks) else {}

    @property
    def has_goal(self) -> bool:
        """Whether more is wanted than to improve the objective as a mean."""
        return bool(self.objectives or self.constraints or self.objective.worst)

    @property
    def similar_pairs(self) -> dict[alike.Pair, float]:
        """How alike domains are, each pair once."""
        return alike.pairs(self.similarity, [domain.name for domain in self.domains])

    def needed_benchmarks(self) -> list[str]:
        """Those a run must be scored on to count: of the objective first, then of other objectives
        and of constraints."""
        others = [*self.objectives, *(floor.benchmark for floor in self.constraints)]
        found = dict.fromkeys(self.objective_weights())
        for name in others:
            found |= dict.fromkeys(self.score_weights(name))
        return list(found)

    def scores(self, measurements: Iterable[Measurement]) -> Scores:
        """Objective, In-Score and Out-Score of some measurements."""
        taken = list(measurements)
        measured = last_measurements(taken).keys()

        def of(weights: dict[str, float]) -> Score | None:
            if not weights or not weights.keys() <= measured:
                return None
            return Score.weighted(taken, weights)

        return Scores(
            objective=of(self.objective_weights()),
            in_score=of(self.group_weights("in")),
            out_score=of(self.group_weights("out")),
        )

    def mixture(self, weights: Mapping[str, float]) -> dict[str, float]:
        """A checked mixture in the study's domain order; domains left out get weight 0.

        Raises:
            ValueError: unknown domain, weight outside its bounds, or a sum that is not 1.
        """
        mixture = self.weights(weights)
        for domain in self.domains:
            weight = mixture[domain.name]
            if not domain.lower - SUM_TOLERANCE <= weight <= domain.upper + SUM_TOLERANCE:
                raise ValueError(
                    f"weight of {domain.name!r} is {weight:.6g}, outside its bounds "
                    f"{domain.lower:g} to {domain.upper:g} (study {self.name!r})"
                )
        return mixture

    def weights(self, weights: Mapping[str, float]) -> dict[str, float]:
        """The same of a mixture that need not keep to the bounds: an old run's.

        Raises:
            ValueError: unknown domain, weight that is none, or a sum that is not 1.
        """
        where = f"(study {self.name!r})"
        names = [d.name for d in self.domains]
        unknown = sorted(set(weights) - set(names))
        if unknown:
            raise ValueError(f"unknown domain {unknown[0]!r} {where}; it has {', '.join(names)}")
        for name, weight in weights.items():
            if not math.isfinite(weight) or weight < 0:
                raise ValueError(f"weight of {name!r} is {weight:g}, not between 0 and 1 {where}")
        total = sum(weights.values())
        if abs(total - 1) > SUM_TOLERANCE:
            raise ValueError(f"weights sum to {total:.9g}, not 1 {where}")
        return {name: float(weights.get(name, 0.0)) / total for name in names}


class Study(StudySpec):
    """A stored study."""

    state: StudyState
    """`finished` also once the budget is used and all trials have ended; `active` again when the
    budget is raised, or a trial queued or retried."""
    owner: Name | None = None
    """The team that it belongs to: that of the key that made it, until it is given to another."""
    created_at: datetime
    updated_at: datetime
    trials: dict[TrialState, int]
    """Number of trials in each state."""
    planned: int
    """Completed trials that the budget allows: `budget`, or fewer where `gpu_hours` do not last."""
    gpu_hours_used: float
    """By attempts that have ended: the time they held their trial, times the worker's GPUs."""
    attached: int = 0
    """Those of the completed ones that were added as finished runs: they use none of the budget."""
    merged: int = 0
    """Those of the completed ones that are merged models, not runs: they use none either."""
    unspent: float = 0.0
    """Whole runs' worth that those which the search ended early were not trained for: it is left of
    the budget."""
    baseline_scores: Scores

    @property
    def n_done(self) -> int:
        """Trials with a result that the budget counts."""
        found = self.trials
        n_results = found.get("completed", 0) + found.get("early_stopped", 0)
        return math.floor(n_results - self.attached - self.merged - self.unspent + 1e-6)


class StudyCost(Body):
    """Answer of `GET /studies/{study}/cost`: GPU-hours, each the time that an attempt held its
    trial times the GPUs of its worker; a worker on a CPU counts as one GPU."""

    used: float
    """By all attempts so far."""
    running: float
    """Those of them by attempts that go on."""
    a_run: float | None
    """One completed run, with its share of what failed; None before the first."""
    left: float | None
    """That the planned runs which are not completed will take; None while that is unknown."""
    trials: dict[int, float] = Field(default_factory=dict)
    """By the trial's number, of those that a worker had."""
    channels: dict[str, float] = Field(default_factory=dict)
    """`full`: whole training runs, and those under way; `step-500`: such as pause or were stopped,
    last scored at step 500; `stopped`: before any score; `merged`: merged models."""
    domains: dict[Name, float] = Field(default_factory=dict)
    """By domain: what each attempt cost, shared out by the samples that it drew of them, or by its
    trial's weights where it did not say."""


class StudyPage(Body):
    studies: list[Study]
    more: bool = False
    """Pass the last one's name as `?before=` to get those that are older."""
