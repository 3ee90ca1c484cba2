"""Stored specifications of studies, as whoever reads one gets it: with every field there is today.

A study is stored as the body it was created with and edited to since, defaults filled in. A field
that came later is not in older rows; here is what its absence means. A new field of
`service.schemas.StudySpec`, or of one of its parts, gets a line here; a test holds the two
together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from sqlalchemy import JSON, ColumnElement, Dialect, FromClause, Text, cast
from sqlalchemy.types import TypeDecorator

ABSENT: dict[str, Any] = {
    "objective": {},
    "objectives": [],
    "constraints": [],
    "limits": [],
    "max_active": None,
    "reach": None,
    "similarity": {},
    "strategy": "auto",
    "opening": "optimal",
    "heuristics": {},
    "evidence": [],
    "search": {},
    "recipe": {},
    "budget": 32,
    "gpu_hours": None,
    "baseline": [],
    "seed": 0,
    "max_attempts": 3,
    "lease_s": 120.0,
    "lookahead": 2,
    "weight": 1.0,
    "requires": {},
    "note": "",
}
"""What a specification without a field means by that."""

ABSENT_IN: dict[str, dict[str, Any]] = {
    "domains": {"samples": None, "lower": 0.0, "upper": 1.0, "zero_or_at_least": 0.0},
    "objective": {"name": "out_score", "weights": None, "direction": "maximize", "worst": False},
    "constraints": {"probability": 0.9},
    "limits": {"at_most": None, "at_least": None},
    "reach": {"epochs": 1.0, "enforce": False},
    "heuristics": {"scores": "final", "alpha_single": 1.0, "leave_out": []},
    "evidence": {},
    "search": {"channels": ["full"], "early_stopping": False, "schedule": None},
    "requires": {"gpus": None, "gpu_memory_gb": None, "labels": {}},
    "baseline": {"step": 0, "rule": "paper", "se": None},
}
"""The same of its parts, each of them where there is a list of them."""

IN_COLUMNS = ("name", "budget", "gpu_hours", "note", "lease_s", "max_attempts")
"""Fields that a study has as columns too: these hold now, the specification says what was at first.
"""

Stored = tuple[Any, ...]
"""All that makes a study's specification, as `columns` selects it: equal ones say the same."""


def columns(studies: FromClause) -> list[ColumnElement[Any]]:
    """What to select of the table of studies to have a `Stored`."""
    of = studies.c
    return [
        *(cast(of.spec, Text), of.channels, of.early_stopping),
        *(of[name] for name in IN_COLUMNS),
    ]


def parts(stored: Stored) -> tuple[dict[str, Any], dict[str, Any]]:
    """The specification as it was at first, complete; what holds now of it instead."""
    text, channels, early_stopping, *now = stored
    at_first = complete(json.loads(text))
    return at_first, dict(zip(IN_COLUMNS, now, strict=True)) | {
        "search": search(at_first, channels, early_stopping=early_stopping)
    }


def search(spec: Mapping[str, Any], channels: str, *, early_stopping: bool) -> dict[str, Any]:
    """Section `search` of a complete specification, with what of it is in columns."""
    of_columns = {"channels": channels.split(","), "early_stopping": early_stopping}
    return dict(spec["search"]) | of_columns


Change = list[Any]
"""What something was before and is after; None where it was not there, or is not any more."""


def changes(before: Mapping[str, Any], after: Mapping[str, Any], of: str = "") -> dict[str, Change]:
    """What differs between two specifications or parts of them, by its path: `domains.coco.upper`.

    What has a name (domains, benchmarks) goes by that, whatever its place in its list.
    """
    found: dict[str, Change] = {}
    for key in (*before, *(key for key in after if key not in before)):
        old, new = (_by_name(part.get(key)) for part in (before, after))
        path = f"{of}{key}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found |= changes(old, new, f"{path}.")
        elif old != new:
            found[path] = [old, new]
    return found


def _by_name(value: Any) -> Any:
    if not (isinstance(value, list) and value):
        return value
    if not all(isinstance(item, Mapping) and "name" in item for item in value):
        return value
    return {item["name"]: {k: v for k, v in item.items() if k != "name"} for item in value}


def complete(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The specification with what it lacks; what it has stays as it is."""
    whole = deepcopy(ABSENT) | dict(spec)
    for name, absent in ABSENT_IN.items():
        part = whole.get(name)
        if isinstance(part, list):
            whole[name] = [deepcopy(absent) | item for item in part]
        elif part is not None:
            whole[name] = deepcopy(absent) | part
    return whole


class Specification(TypeDecorator[dict[str, Any]]):
    """JSON that is complete when it is read."""

    impl = JSON
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else complete(value)
