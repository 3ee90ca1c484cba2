"""The wire contract: every body the service takes or gives. `service/client.py` speaks it too.

Names, units and rules are those of `docs/reference/http.md`. Scores are fractions in [0, 1],
times are UTC, durations are seconds, weights are fractions of the training prompts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from db.texts import shallow, storable, storable_throughout

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""Name of a study, domain or benchmark: it goes into addresses, files and column heads."""


Text = Annotated[str, StringConstraints(max_length=4000), AfterValidator(storable)]
"""Free text from outside (notes, errors, worker names): hostile until shown as text."""

JsonObject = Annotated[
    dict[str, JsonValue], BeforeValidator(shallow), AfterValidator(storable_throughout)
]
"""Data that the service only keeps: a recipe, artifacts. Nested at most 50 levels deep."""


def _entries(most: int) -> Callable[[Any], Any]:
    """Counts the entries of an object before it looks at each of them, as pydantic does after."""

    def counted(value: Any) -> Any:
        if isinstance(value, dict) and len(value) > most:
            raise ValueError(f"an object of at most {most} entries is wanted, not of {len(value)}")
        return value

    return counted


MAX_CAPABILITIES = 64
MAX_CAPABILITIES_TEXT = 4000


def _short(capabilities: dict[str, JsonValue]) -> dict[str, JsonValue]:
    n = len(json.dumps(capabilities, ensure_ascii=False))
    if n > MAX_CAPABILITIES_TEXT:
        raise ValueError(
            f"capabilities are {n:,} characters of JSON; at most {MAX_CAPABILITIES_TEXT:,} are kept"
        )
    return capabilities


Capabilities = Annotated[
    dict[str, JsonValue],
    Field(max_length=MAX_CAPABILITIES),
    BeforeValidator(shallow),
    AfterValidator(storable_throughout),
    AfterValidator(_short),
]
"""What a worker says of where it runs and with what; pages show all of it of many workers."""

Token = Annotated[str, StringConstraints(min_length=16, max_length=200)]
Weight = Annotated[float, Field(ge=0.0, le=1.0)]
Direction = Literal["maximize", "minimize"]
StudyState = Literal["active", "paused", "finished"]
TrialState = Literal["queued", "running", "completed", "failed", "cancelled", "early_stopped"]
Origin = Literal["proposed", "queued", "attached"]
AGGREGATES = ("in_score", "out_score")
"""Objectives that go without weights of their own; every study has both."""
TrainerName = Literal["trl", "verl", "easyr1", "ms-swift"]
"""Whose options an exported mixture can have."""

SUM_TOLERANCE = 1e-6
"""How far the weights of a mixture sent to the service may be from summing to 1."""


class Body(BaseModel):
    """Strict base of every body: unknown keys, NaN and infinities are refused, and so are numbers
    that are written as text."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


# --- scores -----------------------------------------------------------------------------------


def _no_percent(value: Any) -> Any:
    """Says of a score on a scale to 100 what is meant; everything else is left to the field."""
    if isinstance(value, str) and value.strip().endswith("%"):
        given = value.strip()[:20]
    elif isinstance(value, int | float) and 1 < value < 1e6:
        given = f"{value:g}"
    else:
        return value
    raise PydanticCustomError(
        "not_a_fraction",
        "{given} is not a number from 0 to 1: give fractions, 0.412 for 41.2%",
        {"given": given},
    )


Fraction = Annotated[float, Field(ge=0.0, le=1.0), BeforeValidator(_no_percent)]
"""A score or its error: 0.412, where people say 41.2%."""


class Measurement(Body):
    """One benchmark's score of one trial at one training step."""

    benchmark: Name
    score: Fraction
    samples: Annotated[int, Field(ge=1, le=10**9)]
    step: Annotated[int, Field(ge=0, le=10**9)] = 0
    rule: Name = "paper"
    se: Fraction | None = None
    """Sampling error of the score; without it the score counts as a share of `samples`."""

    def sampling_error(self) -> float:
        """Standard error of the score.

        Without `se`: binomial with one success and one failure added, so that 0 and 1 have an
        error too (Agresti and Coull, 1998).
        """
        if self.se is not None:
            return self.se
        n = self.samples + 2
        p = (self.score * self.samples + 1) / n
        return math.sqrt(p * (1 - p) / n)


class Score(Body):
    """A weighted mean of benchmark scores with its sampling error."""

    value: float
    se: float

    @classmethod
    def weighted(cls, measurements: Iterable[Measurement], weights: Mapping[str, float]) -> Self:
        """Weighted mean over benchmarks of the last measurement of each.

        Raises:
            KeyError: a benchmark that has a weight was not measured.
        """
        last = last_measurements(measurements)
        total = sum(weights.values())
        share = {name: weight / total for name, weight in weights.items()}
        value = sum(share[name] * last[name].score for name in share)
        variance = sum((share[name] * last[name].sampling_error()) ** 2 for name in share)
        return cls(value=value, se=math.sqrt(variance))


def last_measurements(measurements: Iterable[Measurement]) -> dict[str, Measurement]:
    """The measurement of the highest step for each benchmark under the `paper` rule."""
    last: dict[str, Measurement] = {}
    for measurement in measurements:
        if measurement.rule != "paper":
            continue
        known = last.get(measurement.benchmark)
        if known is None or measurement.step >= known.step:
            last[measurement.benchmark] = measurement
    return last


def averaged_measurements(measurements: Iterable[Measurement]) -> list[Measurement]:
    """The mean over steps of each benchmark's score under the `paper` rule.

    Step 0, the base model, counts only where nothing else was measured. A sampling error stays the
    last step's: the items are the same at every step.
    """
    taken = [measurement for measurement in measurements if measurement.rule == "paper"]
    averaged = []
    for name, last in last_measurements(taken).items():
        scores = [m.score for m in taken if m.benchmark == name and (m.step > 0 or last.step == 0)]
        averaged.append(last.model_copy(update={"score": sum(scores) / len(scores)}))
    return averaged


class Scores(Body):
    """What a trial's final measurements add up to; None where benchmarks are missing."""

    objective: Score | None = None
    in_score: Score | None = None
    out_score: Score | None = None


# --- studies ----------------------------------------------------------------------------------


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
                f"lower weight {self.lower:g} is above upper weight {self.upper:g} "
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
    """What the search improves: `in_score`, `out_score`, or an own weighted mean of benchmarks."""

    name: Name = "out_score"
    weights: dict[Name, Annotated[float, Field(gt=0.0, le=1e9)]] | None = None
    direction: Direction = "maximize"

    @model_validator(mode="after")
    def _weights_if_own(self) -> Self:
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


class HeuristicsSpec(Body):
    """What the paper varies of its heuristics."""

    scores: Literal["final", "averaged"] = "final"
    """From the last step's scores, or from their mean over all steps that were scored."""
    alpha_single: Annotated[float, Field(ge=0.0, le=1000.0)] = 1.0
    """Factor of single-domain runs' scores in the alpha family; the paper does not say its own."""
    leave_out: Annotated[list[Name], Field(max_length=64)] = Field(default_factory=list)
    """Domains that get no weight (the paper's "No1" leaves out its first)."""


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
    limits: Annotated[list[LimitSpec], Field(max_length=64)] = Field(default_factory=list)
    max_active: Annotated[int, Field(ge=1, le=64)] | None = None
    """Most domains that a mixture uses."""
    reach: Reach | None = None
    strategy: Name = "auto"
    opening: Literal["optimal", "seeds"] = "optimal"
    """What the surrogate strategies begin with: an optimal design, or the paper's seeds."""
    heuristics: HeuristicsSpec = HeuristicsSpec()
    recipe: JsonObject = Field(default_factory=dict)
    """Handed to workers as it is. One that is not empty is refused when no worker could run it on
    these domains and benchmarks (`trainer/recipe.py`); an empty one leaves all to who trains."""
    budget: Annotated[int, Field(ge=1, le=100_000)] = 32
    """Number of completed trials after which no more are proposed; runs that were added finished do
    not count."""
    baseline: Annotated[list[Measurement], Field(max_length=2000)] = Field(default_factory=list)
    """Scores of the base model before any training, to compare with."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    lease_s: Annotated[float, Field(ge=1.0, le=86_400.0)] = 120.0
    lookahead: Annotated[int, Field(ge=1, le=1000)] = 2
    """Proposals kept ready for workers to claim."""
    note: Text = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for what, names in (
            ("domain", [d.name for d in self.domains]),
            ("benchmark", [b.name for b in self.benchmarks]),
        ):
            doubles = sorted({n for n in names if names.count(n) > 1})
            if doubles:
                raise ValueError(f"{what} {doubles[0]!r} is listed more than once")
        low, high = sum(d.lower for d in self.domains), sum(d.upper for d in self.domains)
        if low > 1 + 1e-12:
            raise ValueError(f"lower weights sum to {low:g}, above 1: no mixture fits")
        if high < 1 - 1e-12:
            raise ValueError(f"upper weights sum to {high:g}, below 1: no mixture fits")
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

    def group_weights(self, group: Literal["in", "out"]) -> dict[str, float]:
        """Benchmarks of a group with their sample counts: the weights of In- or Out-Score."""
        return {b.name: float(b.samples) for b in self.benchmarks if b.group == group}

    def objective_weights(self) -> dict[str, float]:
        if self.objective.weights is not None:
            return dict(self.objective.weights)
        return self.group_weights("in" if self.objective.name == "in_score" else "out")

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
            raise ValueError(f"weights sum to {total:.6g}, not 1 {where}")
        mixture = {name: float(weights.get(name, 0.0)) / total for name in names}
        for domain in self.domains:
            weight = mixture[domain.name]
            if not domain.lower - SUM_TOLERANCE <= weight <= domain.upper + SUM_TOLERANCE:
                raise ValueError(
                    f"weight of {domain.name!r} is {weight:.6g}, outside its bounds "
                    f"{domain.lower:g} to {domain.upper:g} {where}"
                )
        return mixture


class StudyPatch(Body):
    """Body of `PATCH /studies/{study}`; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"state": "paused"}]})

    state: StudyState | None = None
    budget: Annotated[int, Field(ge=1, le=100_000)] | None = None
    note: Text | None = None


class Study(StudySpec):
    """A stored study."""

    state: StudyState
    """`finished` also once the budget is used and all trials have ended; `active` again when the
    budget is raised, or a trial queued or retried."""
    created_at: datetime
    updated_at: datetime
    trials: dict[TrialState, int]
    """Number of trials in each state."""
    attached: int = 0
    """Those of the completed ones that were added as finished runs: they use none of the budget."""
    baseline_scores: Scores

    @property
    def n_done(self) -> int:
        """Trials with a result that the budget counts."""
        found = self.trials
        return found.get("completed", 0) + found.get("early_stopped", 0) - self.attached


class StudyPage(Body):
    studies: list[Study]
    more: bool = False
    """Pass the last one's name as `?before=` to get those that are older."""


# --- trials -----------------------------------------------------------------------------------

MetricName = Annotated[
    str, StringConstraints(min_length=1, max_length=100), AfterValidator(storable)
]
Metrics = dict[MetricName, float]
MAX_METRICS = 200
SentMetrics = Annotated[
    Metrics, Field(max_length=MAX_METRICS), BeforeValidator(_entries(MAX_METRICS))
]
MAX_POINTS = 500
"""Points of a learning curve in one call."""

Mixture = Annotated[dict[Name, float], Field(max_length=64), BeforeValidator(_entries(64))]
"""Weights by domain name; checked against the study by `StudySpec.mixture`."""


class Proposal(Body):
    """Where a mixture came from and what was expected of it."""

    strategy: Name
    seed: int
    reason: Text
    mean: float | None = None
    sd: float | None = None


class TrialCreate(Body):
    """Body of `POST /studies/{study}/trials`: finished if it has measurements, else queued.

    A finished run uses none of the study's budget.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"mixture": {"coco": 0.4, "sat": 0.6}, "note": "as in the paper"}]
        }
    )

    mixture: Mixture
    measurements: Annotated[list[Measurement], Field(max_length=2000)] = Field(default_factory=list)
    wall_s: Annotated[float, Field(ge=0.0)] | None = None
    note: Text = ""


class TrialPatch(Body):
    """Body of `PATCH /trials/{trial}`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"note": "the base model was an older one"}]}
    )

    note: Text


class Trial(Body):
    """A stored trial."""

    id: int
    study: Name
    number: int
    """Counts from 1 within the study."""
    state: TrialState
    origin: Origin
    mixture: Mixture
    seed: int
    """Seed of the training run."""
    proposal: Proposal | None
    attempts: int
    """Attempts that count against `max_attempts`: running, completed, failed and expired ones."""
    worker: Text | None
    lease_until: datetime | None
    step: int | None
    total_steps: int | None
    metrics: dict[str, float]
    """Latest progress: mean reward of each domain, loss and the like."""
    measurements: list[Measurement]
    replicates: list[Measurement]
    """Scores that came with a stale lease or after the result; kept, but not the trial's own."""
    scores: Scores
    wall_s: float | None
    artifacts: dict[str, JsonValue]
    error: Text | None
    note: Text
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    revision: int
    """Grows with every change in the study; `?after=` takes it."""


class Curve(Body):
    """Answer of `GET /trials/{trial}/curve`: metrics at the steps they were sent for."""

    trial: int
    steps: list[int]
    attempts: list[int]
    """Number of the attempt that each step is of; one that went on continues the one before."""
    metrics: dict[str, list[float | None]]
    """By name, a value for each step; None where the run said nothing of it."""
    names: list[str]
    """All that the run spoke of, also what was not asked for."""


class TrialPage(Body):
    trials: list[Trial]
    after: int
    """Pass as `?after=` to get only what changed since."""
    more: bool


# --- leases -----------------------------------------------------------------------------------

Worker = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, strip_whitespace=True),
    AfterValidator(storable),
]
Step = Annotated[int, Field(ge=0, le=10**9)]


class Lease(Body):
    """The right to one trial. Count `duration_s` on your own clock; `until` is the database's."""

    token: Token
    until: datetime
    duration_s: float


class NextRequest(Body):
    """Body of `POST /trials/next`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"worker": "node-7", "study": "vlm"}]}
    )

    worker: Worker
    study: Name | None = None
    capabilities: Capabilities = Field(default_factory=dict)


class NextAnswer(Body):
    """A leased trial with its recipe, or None with the reason and when to ask again."""

    trial: Trial | None = None
    lease: Lease | None = None
    recipe: dict[str, JsonValue] | None = None
    benchmarks: list[Name] | None = None
    """All that the study scores; a score of another is refused."""
    weighed: list[Name] | None = None
    """Those of them that the objective weighs: what a result must have."""
    results: int = 0
    """Trials of the study that have a result: others could run its recipe."""
    reason: str | None = None
    """Why there is no trial."""
    retry_after_s: float | None = None
    """When to ask again; None with no trial means that nothing more will come by itself."""


class CurvePoint(Body):
    """What a run said of itself at one training step."""

    step: Step
    metrics: SentMetrics


class Heartbeat(Body):
    """Body of `POST /trials/{id}/heartbeat`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "token": "a-token-of-the-lease",
                    "step": 120,
                    "total_steps": 500,
                    "metrics": {"reward/coco": 0.42},
                }
            ]
        }
    )

    token: Token
    step: Step | None = None
    total_steps: Step | None = None
    metrics: SentMetrics = Field(default_factory=dict)
    """Latest progress; with `step` also a point of the learning curve."""
    points: Annotated[list[CurvePoint], Field(max_length=MAX_POINTS), FailFast()] = Field(
        default_factory=list
    )
    """Further points of the learning curve; a step that came before stays as it was."""


class HeartbeatAnswer(Body):
    until: datetime
    duration_s: float
    cancel: bool
    """The trial was cancelled: stop the run."""


class MeasurementsRequest(Body):
    """Body of `POST /trials/{id}/measurements`: scores of a checkpoint during training."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "token": "a-token-of-the-lease",
                    "measurements": [{"benchmark": "chartqa", "score": 0.61, "samples": 2500}],
                }
            ]
        }
    )

    token: Token
    measurements: Annotated[list[Measurement], Field(min_length=1, max_length=2000)]


class Result(Body):
    """Body of `POST /trials/{id}/result`. Sending the same body again is safe."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "token": "a-token-of-the-lease",
                    "measurements": [{"benchmark": "chartqa", "score": 0.61, "samples": 2500}],
                    "wall_s": 5400,
                }
            ]
        }
    )

    token: Token
    measurements: Annotated[list[Measurement], Field(min_length=1, max_length=2000)]
    artifacts: JsonObject = Field(default_factory=dict)
    wall_s: Annotated[float, Field(ge=0.0)] | None = None


class Failure(Body):
    """Body of `POST /trials/{id}/failure`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"token": "a-token-of-the-lease", "error": "out of memory", "retryable": True}
            ]
        }
    )

    token: Token
    error: Text
    retryable: bool = True


class Release(Body):
    """Body of `POST /trials/{id}/release`: hand the trial back, nothing counted against it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"token": "a-token-of-the-lease", "reason": "preempted"}]}
    )

    token: Token
    reason: Text = ""
    cause: Literal["stopped", "environment"] = "stopped"
    """`environment`: it cannot be run where this worker is (no data, no GPU, no room on the disk);
    another worker is asked first, and the trial says why. `stopped`: shutdown, preemption."""


# --- the answer -------------------------------------------------------------------------------


class Prediction(Body):
    """Mean and standard deviation of the objective at a mixture, without observation noise."""

    mean: float
    sd: float


class PredictRequest(Body):
    """Body of `POST /studies/{study}/surrogates/{name}/predict`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"mixtures": [{"coco": 0.4, "sat": 0.6}]}]}
    )

    mixtures: Annotated[list[Mixture], Field(min_length=1, max_length=10_000), FailFast()]


class PredictAnswer(Body):
    surrogate: Name
    predictions: list[Prediction]


class LeaveOneOut(Body):
    """Figures of leave-one-out prediction; None where too few runs define them."""

    r2: float | None
    spearman: float | None
    rmse: float | None
    nlpd: float | None
    """Mean negative log predictive density."""
    coverage_90: float | None
    """Share of runs inside their 90% interval."""


class FitPoint(Body):
    """One completed trial as its surrogate sees it when that trial is left out."""

    trial: int
    number: int
    actual: float
    se: float
    mean: float
    sd: float
    """Of a new observation: model and noise together."""
    pit: float | None = None
    """Predicted probability of a lower score; uniform over trials when calibrated."""


class Lesson(Body):
    """A suggested next run: one that would tell something about where the best mixture is."""

    weights: Mixture
    gain: float
    """By how much the run is expected to raise the highest prediction."""
    mean: float
    sd: float


class Confirmation(Body):
    """A mixture that was run more than once, against its prediction without those runs."""

    weights: Mixture
    n: int
    predicted: float
    mean: float
    se: float
    optimism: float
    """Predicted minus confirmed, above 0 where the surrogate predicted too much."""


class Effects(Body):
    """What a mixture is made of: each domain on its own, and each pair's synergy.

    `alone[d]` is the predicted objective of the pure mixture d; `synergy["a*b"]` is the
    coefficient of `w_a * w_b` in the Scheffe form, so an equal blend of a and b scores the mean of
    the two plus a quarter of it.
    """

    alone: dict[str, Prediction]
    synergy: dict[str, Prediction]


class PredictedMixture(Body):
    weights: Mixture
    mean: float
    sd: float


class SurrogateFit(Body):
    """Answer of `GET /studies/{study}/surrogates/{name}`."""

    surrogate: Name
    kind: str
    """What the surrogate chose to be, in words."""
    n: int
    noise_sd: float
    """Of one run around the noise-free objective."""
    loo: LeaveOneOut
    points: list[FitPoint]
    best: PredictedMixture | None
    effects: Effects | None
    lessons: list[Lesson]
    """Suggested next runs, the most informative first."""
    margin: float
    chance_of_better: float
    """Probability that some mixture beats the best predicted one by more than `margin`."""
    confirmations: list[Confirmation]
    messages: list[str]
    """Health of the fit, in words."""


class TrainThis(Body):
    """The mixture to train: of those that were run, the one with the best mean over its runs.

    Scores are fractions with one standard error, predictions with one standard deviation.
    """

    mixture: Mixture
    trials: list[int]
    """Numbers of its runs."""
    score: Score
    """Mean objective of its runs."""
    gain: Score | None
    """Over the mean of the runs with equal weights, in the objective's direction; None where there
    is no such run, or this is the mixture with equal weights."""
    predicted: Prediction | None
    """Its objective without the noise of single runs, by the surrogate; None with too few runs."""
    predicted_gain: Prediction | None
    """Over equal weights, by the surrogate, whether those were run or not."""


class BestAnswer(Body):
    """Answer of `GET /studies/{study}/best`."""

    train: TrainThis | None
    best: Trial | None
    """The first run of the mixture to train."""
    uniform: Trial | None
    """The first completed trial with equal weights, if there is one."""
    gain: float | None
    """Objective of the mixture to train over equal weights, means over their runs, in the
    objective's direction; 0 where they are the same."""
    gain_se: float | None
    predicted: PredictedMixture | None
    """The surrogate's best predicted mixture, which need not have been run; None with too few
    runs."""
    waiting: str | None
    """Why no trial is running; None while one is."""
    message: str
    """All this for people, in points of 100 with 95% intervals."""


class StudyFigure(Body):
    """One chart of the dashboard as Plotly JSON.

    Colours in it are roles, such as `@ink` or `@d3`, that whoever draws gives values: those of a
    light or a dark page.
    """

    name: Name
    title: str
    about: str
    """How to read it; may be empty."""
    figure: dict[str, Any]


class StudyFigures(Body):
    """Answer of `GET /studies/{study}/figures`."""

    study: Study
    figures: list[StudyFigure]
    left_out: list[str]
    """Why others are not among them."""


class Problem(BaseModel):
    """An error, as RFC 9457 problem details with a stable `code`."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    hint: str = ""
    """What to do about it, in the words of HTTP; a command line or a page has others."""
    errors: list[dict[str, Any]] = Field(default_factory=list)
