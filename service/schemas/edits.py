"""What of a study may be changed, and how a change is told."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from service.schemas.spec import (
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
from service.schemas.studies import MAX_BUDGET, GpuHours, StudySpec, StudyWeight
from service.schemas.values import SUM_TOLERANCE, Body, JsonObject, Name, StudyState, Text

Removable = Literal["gpu_hours", "max_active", "reach"]

Shares = Annotated[
    dict[Name, Annotated[float, Field(gt=0.0, le=1.0)]], Field(min_length=1, max_length=64)
]


class StudyEdits(Body):
    """Fields of a specification as they are to be, each whole; what is left out, or null, stays."""

    remove: Annotated[list[Removable], Field(max_length=3)] = Field(default_factory=list)
    """What the study is to have no more."""
    budget: Annotated[int, Field(ge=1, le=MAX_BUDGET)] | None = None
    gpu_hours: GpuHours | None = None
    domains: Annotated[list[DomainSpec], Field(min_length=1, max_length=64)] | None = None
    """All domains: new ones are added, those that are not listed are dropped (most weight 0)."""
    limits: Annotated[list[LimitSpec], Field(max_length=64)] | None = None
    max_active: Annotated[int, Field(ge=1, le=64)] | None = None
    reach: Reach | None = None
    similarity: SimilaritySpec | None = None
    """All pairs there are to be; empty for none."""
    objective: Objective | None = None
    objectives: Annotated[list[Name], Field(max_length=3)] | None = None
    constraints: Annotated[list[FloorSpec], Field(max_length=16)] | None = None
    strategy: Name | None = None
    opening: Literal["optimal", "seeds"] | None = None
    heuristics: HeuristicsSpec | None = None
    evidence: Annotated[list[EvidenceSpec], Field(max_length=16)] | None = None
    search: SearchSpec | None = None
    lookahead: Annotated[int, Field(ge=1, le=1000)] | None = None
    max_attempts: Annotated[int, Field(ge=1, le=100)] | None = None
    lease_s: Annotated[float, Field(ge=1.0, le=86_400.0)] | None = None
    weight: StudyWeight | None = None
    requires: RequiresSpec | None = None
    recipe: JsonObject | None = None
    """May differ in its section `data` alone: other runs would be another study's."""
    note: Text | None = None

    @model_validator(mode="after")
    def _either(self) -> Self:
        for field in self.remove:
            if getattr(self, field) is not None:
                raise ValueError(f"{field} is given and to be removed; either of the two")
        return self

    def fields(self) -> dict[str, Any]:
        """Those that are given or removed, by name, as JSON; but `name`, which is no edit."""
        given = self.model_dump(mode="json", include=StudySpec.model_fields.keys() - {"name"})
        removed: dict[str, Any] = dict.fromkeys(self.remove)
        return {key: value for key, value in given.items() if value is not None} | removed


class StudyPatch(StudyEdits):
    """Body of `PATCH /studies/{study}`; what is left out stays."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"state": "paused"}, {"budget": 48, "note": "more room"}]}
    )

    state: StudyState | None = None
    name: Name | None = None
    """What it is to be called; it is found by its former name too, while no other has that."""
    spread: Annotated[dict[Name, Shares], Field(max_length=64)] | None = None
    """Domains that others take the place of, by name: the shares of its weight that these get, also
    in the mixtures of old runs. One domain becomes several, or several become one."""

    @model_validator(mode="after")
    def _whole_shares(self) -> Self:
        for source, shares in (self.spread or {}).items():
            total = math.fsum(shares.values())
            if abs(total - 1) > SUM_TOLERANCE:
                raise ValueError(f"shares of {source!r} sum to {total:.9g}, not 1")
            both = sorted(shares.keys() & self.spread.keys()) if self.spread else []
            if both:
                raise ValueError(f"domain {both[0]!r} is spread and gets a share as well")
        return self


class StudyClone(StudyEdits):
    """Body of `POST /studies/{study}/clone`: the new study's name, and what is to differ."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "vlm-7b", "budget": 48}]})

    name: Name


class StudyChange(Body):
    """One change of a study: who changed what, and when."""

    at: datetime
    actor: str
    changes: dict[str, list[Any]]
    """What was before and what is after, by path: `budget`, `domains.coco.upper`; null where it was
    not there, or is not any more."""
    after_trial: int
    """Number of the newest trial that was completed by then; 0 for none."""


class StudyChanges(Body):
    """Answer of `GET /studies/{study}/changes`: the newest changes, oldest first."""

    changes: list[StudyChange]
