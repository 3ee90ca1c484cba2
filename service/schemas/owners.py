"""Owners: teams that keys and studies may belong to."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from service.schemas.values import Body, Name

Quota = Annotated[float, Field(ge=0.0, le=1e9)]


class OwnerLimit(Body):
    """Body of `PUT /owners/{owner}`: what an owner may use."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"gpu_hours": 2000}]})

    gpu_hours: Quota | None
    """GPU-hours of all its studies together; null for as many as they like."""


class Owner(Body):
    """An owner and what it has used; GPU-hours as in `StudyCost`."""

    name: Name
    gpu_hours: float | None
    """That it may use; null for as many as its studies like."""
    used: float
    """By all attempts of its studies so far, also of those that were deleted."""
    running: float
    """Those of them by attempts that go on."""
    studies: int
    """That belong to it now."""


class Owners(Body):
    """Answer of `GET /owners`: all of them, by name."""

    owners: list[Owner]


class StudyOwner(Body):
    """Body of `PUT /studies/{study}/owner`: whose the study is to be."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"owner": "vision"}]})

    owner: Name | None
    """Null for no owner."""
