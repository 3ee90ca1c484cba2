"""What a study's spec is made of: domains, limits, benchmarks, the objective."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from db.texts import storable
from service.notation import alike
from service.notation.levels import Level
from service.notation.numbers import as_given
from service.schemas.values import AGGREGATES, SUM_TOLERANCE, Body, Direction, Name, Weight

FULL, MERGED = "full", "merged"
WORST = "worst"
"""What the objective of the worst benchmark is called."""
Label = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(storable)]
MOST_PHASES = 4
"""Of a schedule that the search proposes."""
_STEP = re.compile(r"step-([1-9][0-9]{0,8})")


def step_of(channel: str) -> int | None:
    """The step that a channel of parts of runs is scored at, as 500 of `step-500`; None of any
    other channel."""
    found = _STEP.fullmatch(channel)
    return None if found is None else int(found[1])


class DomainSpec(Body):
    """One training dataset: its name, its number of samples and the weights it may get."""

    name: Name
    samples: Annotated[int, Field(ge=1, le=10**12)] | None = None
    lower: Weight = 0.0
    upper: Weight = 1.0
    zero_or_at_least: Weight = 0.0
    """A mixture that uses the domain gives it at least this."""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.lower > self.upper:
            raise ValueError(
                f"lower weight {as_given(self.lower)} is above upper weight {as_given(self.upper)} "
                f"(domain {self.name!r})"
            )
        return self


class LimitSpec(Body):
    """A linear limit: the sum of coefficient times weight is at most, or at least, a number."""

    weights: Annotated[
        dict[Name, Annotated[float, Field(ge=-1e6, le=1e6)]], Field(min_length=1, max_length=64)
    ]
    """Coefficients by domain."""
    at_most: Annotated[float, Field(ge=-1e6, le=1e6)] | None = None
    at_least: Annotated[float, Field(ge=-1e6, le=1e6)] | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("a limit has either `at_most` or `at_least`")
        return self

    def describe(self) -> str:
        """Such as `coco + 2*lisa <= 0.6`."""
        terms = [name if c == 1 else f"{c:g}*{name}" for name, c in self.weights.items()]
        sign, level = ("<=", self.at_most) if self.at_most is not None else (">=", self.at_least)
        return f"{' + '.join(terms).replace('+ -', '- ')} {sign} {level:g}"


_Alike = Annotated[dict[Name, Weight], Field(max_length=alike.MOST)]
SimilaritySpec = Annotated[dict[Name, _Alike], Field(max_length=alike.MOST)]
"""How alike domains are, from 0, nothing in common, to 1, the same, by the names of both; a pair is
said once, and 0 where it is not."""


class Reach(Body):
    """How many samples a run asks for, and whether a mixture must let it finish.

    A run takes `steps` times `prompts_per_step` unseen samples; a domain has `epochs` times its
    number of samples. Unless enforced, a mixture may make a run end early; proposals then say when.
    """

    steps: Annotated[int, Field(ge=1, le=10**9)]
    prompts_per_step: Annotated[int, Field(ge=1, le=10**6)]
    epochs: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    enforce: bool = False


class BenchmarkSpec(Body):
    """One test set; `group` says whether In-Score or Out-Score counts it."""

    name: Name
    group: Literal["in", "out"]
    samples: Annotated[int, Field(ge=1, le=10**12)]
    """Its weight in In-Score or Out-Score (the paper weighs by number of samples)."""


class Objective(Body):
    """What the search improves: `in_score`, `out_score`, or an own weighted mean of benchmarks; or
    the worst benchmark."""

    name: Name = "out_score"
    weights: dict[Name, Annotated[float, Field(gt=0.0, le=1e9)]] | None = None
    direction: Direction = "maximize"
    worst: bool = False
    """The benchmark that a mixture does worst on counts, each as what it is above equal weights, as
    a share of what they score; of those with a weight, or of all without. Runs are listed by the
    weighted mean."""

    @model_validator(mode="after")
    def _weights_if_own(self) -> Self:
        if self.worst:
            if "name" not in self.model_fields_set:
                self.name = WORST
            if self.name in AGGREGATES:
                raise ValueError(
                    f"the worst benchmark is not {self.name}; leave `name` out, or give the "
                    "objective another name"
                )
            return self
        known = self.name in AGGREGATES
        if known and self.weights is not None:
            raise ValueError(
                f"{self.name} has its own weights (sample counts); leave `weights` out, "
                "or give the objective another name"
            )
        if not known and not self.weights:
            raise ValueError(
                f"objective {self.name!r} needs `weights` (benchmark -> weight); "
                "only in_score and out_score go without"
            )
        return self


class FloorSpec(Body):
    """A score that what is proposed and recommended has to keep, and how surely."""

    benchmark: Name
    """A benchmark, or `in_score` or `out_score`."""
    at_least: float | Annotated[str, StringConstraints(max_length=40)]
    """A fraction, or `uniform`, `uniform - 0.02` or `uniform + 0.02`: what equal weights score, by
    their runs and by the surrogate."""
    probability: Annotated[float, Field(ge=0.5, le=0.999)] = 0.9

    @model_validator(mode="after")
    def _level_in_range(self) -> Self:
        level, where = self.level, f"(benchmark {self.benchmark!r})"
        if isinstance(self.at_least, str) and not level.is_relative:
            raise ValueError(f"at_least: write {self.at_least} without quotes {where}")
        if level.is_relative:
            if abs(level.value) > 1:
                raise ValueError(
                    f"at_least: {level} is more than all of a score; scores are fractions, so two "
                    f"points of 100 are 0.02 {where}"
                )
            self.at_least = str(level)
        elif not 0 <= level.value <= 1:
            raise ValueError(
                f"at_least: {level} is not a number from 0 to 1: give fractions, 0.412 for 41.2% "
                f"{where}"
            )
        return self

    @property
    def level(self) -> Level:
        if isinstance(self.at_least, str):
            return Level.parse(self.at_least)
        return Level(self.at_least, is_relative=False)


class EvidenceSpec(Body):
    """Another study of the same service whose runs tell something of this one's: the same domains
    with a smaller model, an older base, other steps."""

    study: Name


class RequiresSpec(Body):
    """What a worker must have to be given a trial of a study; None and empty ask for nothing."""

    gpus: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """For one trial, at least."""
    gpu_memory_gb: Annotated[float, Field(gt=0.0, le=1e6)] | None = None
    """Of each of its GPUs, at least; a worker that does not say has too little."""
    labels: Annotated[dict[Label, Label], Field(max_length=16)] = Field(default_factory=dict)
    """That the operator gave it: `modomodo worker --label pool=a100`."""


class PhasesSpec(Body):
    """That the search proposes schedules: a mixture for each phase of a run."""

    phases: Annotated[int, Field(ge=2, le=MOST_PHASES)] | None = None
    """How many, each with an equal part of the steps."""
    shares: (
        Annotated[
            list[Annotated[float, Field(gt=0.0, lt=1.0)]],
            Field(min_length=2, max_length=MOST_PHASES),
        ]
        | None
    ) = None
    """Or the part of the steps that each has; they sum to 1."""

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.phases is None) == (self.shares is None):
            raise ValueError("a schedule has either `phases`, how many, or `shares`, of each")
        if self.shares is not None and abs(math.fsum(self.shares) - 1) > SUM_TOLERANCE:
            raise ValueError(f"shares of the phases sum to {math.fsum(self.shares):.9g}, not 1")
        return self

    @property
    def of_each(self) -> list[float]:
        """The phases' shares of the steps."""
        if self.shares is None:
            return [1 / (self.phases or 1)] * (self.phases or 1)
        total = math.fsum(self.shares)
        return [share / total for share in self.shares]


class SearchSpec(Body):
    """What the search may spend GPU-hours on, and what it proposes."""

    channels: Annotated[list[Name], Field(min_length=1, max_length=16)] = Field(
        default_factory=lambda: [FULL]
    )
    """`full`, whole training runs, is always among them; `step-500` adds runs that pause at step
    500, scored there, and may be continued; `merged` models that are not trained but merged of the
    runs of single domains."""
    early_stopping: bool = False
    """Whether the search may pause a run at an evaluation point where something else teaches more
    for its cost, and end one that has hardly a chance to be among the best."""
    schedule: PhasesSpec | None = None
    """Mixtures may change during a run, at the ends of these phases; None for one mixture a run."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        strange = sorted(
            name for name in self.channels if name not in (FULL, MERGED) and not step_of(name)
        )
        if strange:
            raise ValueError(
                f"unknown channel {strange[0]!r}; there are {FULL}, {MERGED} and, for runs that "
                "pause at a step, such as step-500"
            )
        if FULL not in self.channels:
            raise ValueError(
                f"channels lack {FULL!r}: whole runs are what a search is judged by; "
                f"name it beside {', '.join(self.channels)}"
            )
        steps = sorted({step for name in self.channels if (step := step_of(name))})
        last = [MERGED] if MERGED in self.channels else []
        self.channels = [FULL, *(f"step-{step}" for step in steps), *last]
        return self

    @property
    def steps(self) -> list[int]:
        """The steps of its channels of parts of runs."""
        return [step for name in self.channels if (step := step_of(name))]


class HeuristicsSpec(Body):
    """What the paper varies of its heuristics."""

    scores: Literal["final", "averaged"] = "final"
    """From the last step's scores, or from their mean over all steps that were scored."""
    alpha_single: Annotated[float, Field(ge=0.0, le=1000.0)] = 1.0
    """Factor of single-domain runs' scores in the alpha family; the paper does not say its own."""
    leave_out: Annotated[list[Name], Field(max_length=64)] = Field(default_factory=list)
    """Domains that get no weight (the paper's "No1" leaves out its first)."""
