"""Names, texts, mixtures and numbers that bodies are made of, with their bounds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
)

from db.texts import TAG, shallow, storable, storable_throughout

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""Name of a study, domain or benchmark: it goes into addresses, files and column heads."""


Text = Annotated[str, StringConstraints(max_length=4000), AfterValidator(storable)]
"""Free text from outside (notes, errors, worker names): hostile until shown as text."""


def _each_once(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tags))


def _plain_word(tag: str) -> str:
    if not re.fullmatch(TAG, tag):
        raise ValueError(
            f"{tag!r} is no tag: it begins with a letter or digit, and has letters, digits, blanks "
            "and . : / @ + # - _, at most 40 of them"
        )
    return tag


Tag = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_plain_word),
]
"""A word that trials are grouped by: letters, digits, blanks and `.:/@+#-_`, at most 40."""

Tags = Annotated[list[Tag], Field(max_length=20), AfterValidator(_each_once)]


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
TrialState = Literal[
    "queued", "running", "completed", "failed", "cancelled", "early_stopped", "paused"
]
Channel = Literal["full", "merged"]
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


Step = Annotated[int, Field(ge=0, le=10**9)]
