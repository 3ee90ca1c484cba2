"""A trial: how it comes to be, what is stored of it, its learning curve."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue

from service.schemas.scores import Measurement, Scores
from service.schemas.values import Body, Mixture, Name, Origin, Text, TrialState


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
