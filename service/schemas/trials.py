"""A trial: how it comes to be, what is stored of it, its learning curve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, model_validator

from service.schemas.scores import Measurement, Scores
from service.schemas.values import Body, Channel, Mixture, Name, Origin, Tags, Text, TrialState

StopAt = Annotated[int, Field(ge=1, le=10**9)] | None
MAX_PHASES = 16


class Phase(Body):
    """A part of a run with a mixture of its own."""

    share: Annotated[float, Field(gt=0.0, le=1.0)]
    """Of the run's steps."""
    mixture: Mixture


Schedule = Annotated[list[Phase], Field(min_length=1, max_length=MAX_PHASES)]
"""Phases in their order; their shares sum to 1."""


def phase_ends(shares: Iterable[float], steps: int) -> list[int]:
    """The last step of each phase of a run of so many steps."""
    ends = [round(steps * so_far) for so_far in accumulate(shares)]
    return [*ends[:-1], steps]


def mean_mixture(schedule: Sequence[Phase]) -> dict[str, float]:
    """Weights of the run in all: each phase's count as its share."""
    names = dict.fromkeys(name for phase in schedule for name in phase.mixture)
    return {
        name: math.fsum(phase.share * phase.mixture.get(name, 0.0) for phase in schedule)
        for name in names
    }


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

    mixture: Mixture = Field(default_factory=dict)
    """Or a `schedule`, whose mean it is then."""
    schedule: Schedule | None = None
    """A mixture for each phase of the run, in the place of one for all of it."""
    measurements: Annotated[list[Measurement], Field(max_length=2000)] = Field(default_factory=list)
    wall_s: Annotated[float, Field(ge=0.0)] | None = None
    note: Text = ""
    tags: Tags = Field(default_factory=list)
    stop_at: StopAt = None
    """Step at which a queued one pauses, to be continued later; None trains the whole recipe."""
    channel: Channel = "full"
    """`merged`: a model merged of the runs of single domains is scored, without training."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.schedule is None:
            if "mixture" not in self.model_fields_set:
                raise ValueError("a mixture is needed, or a schedule with one for each phase")
            return self
        if self.mixture:
            raise ValueError(
                "give a mixture or a schedule, not both: a schedule's mixture is its mean"
            )
        if self.channel == "merged":
            raise ValueError("a schedule is for training runs, and a merged model is not trained")
        return self

    @model_validator(mode="after")
    def _still_to_run(self) -> Self:
        if self.measurements and self.stop_at is not None:
            raise ValueError("stop_at is for a trial that is still to run, and this one has scores")
        if self.channel == "merged" and self.stop_at is not None:
            raise ValueError("stop_at is for training runs, and a merged model is not trained")
        return self


class TrialContinue(Body):
    """Body of `POST /trials/{trial}/continue`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"stop_at": 1000}]})

    stop_at: StopAt = None
    """Step at which it pauses again; None trains the rest of the recipe."""


class TrialPatch(Body):
    """Body of `PATCH /trials/{trial}`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"note": "the base model was an older one", "tags": ["old base"]}]
        }
    )

    note: Text | None = None
    tags: Tags | None = None
    """All it is to have. What is left out, or null, stays."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.note is None and self.tags is None:
            raise ValueError("give a `note`, `tags`, or both")
        return self


class Trial(Body):
    """A stored trial."""

    id: int
    study: Name
    number: int
    """Counts from 1 within the study."""
    state: TrialState
    origin: Origin
    mixture: Mixture
    """Of a run with a schedule the mean over its phases."""
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
    stop_at: int | None = None
    """Step at which it pauses; None trains the whole recipe."""
    asked: Literal["pause", "stop"] | None = None
    """What its run is to do at the next evaluation point."""
    asked_why: Text | None = None
    channel: Channel = "full"
    """`full`: a training run; `merged`: no training, experts' weights added up and scored."""
    tags: list[str] = Field(default_factory=list)
    """Words that people group trials by."""
    schedule: Schedule | None = None
    """Mixtures by phase, where they change during the run."""


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
