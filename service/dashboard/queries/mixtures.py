"""All trials of a study as mixtures with scores: what is looked through, sorted and filtered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import models
from service.dashboard.queries.history import History
from service.errors import invalid
from service.schemas import Name, Score, StudySpec, TrialState

PAGE = 100
"""Trials of the list at once."""


@dataclass(frozen=True, slots=True)
class Item:
    """A trial, as far as a mixture with a score goes; `score` is its objective."""

    number: int
    state: str
    mixture: dict[str, float]
    score: Score | None


class Wanted(BaseModel):
    """Which trials, in which order; in addresses, so that a view can be sent to somebody."""

    model_config = ConfigDict(extra="forbid")

    sort: Annotated[str, Field(max_length=64)] = "number"
    """`number`, `score`, or a domain: by its weight."""
    rising: bool = False
    state: TrialState | None = None
    least: Annotated[float, Field(ge=-100.0, le=200.0)] | None = None
    """Objective in points, at least."""
    domain: Name | None = None
    weight: Annotated[float, Field(ge=0.0, le=100.0)] = 0.0
    """Percent that `domain` has at least."""
    offset: Annotated[int, Field(ge=0, lt=2**31)] = 0


def read(session: Session, study: models.Study, history: History) -> list[Item]:
    """All trials by number; scores come from the history."""
    scores = {run.number: run.score for run in history.runs}
    rows = session.execute(
        select(models.Trial.number, models.Trial.state, models.Trial.mixture)
        .where(models.Trial.study_id == study.id)
        .order_by(models.Trial.number)
    )
    return [Item(number, state, mixture, scores.get(number)) for number, state, mixture in rows]


def chosen(study: StudySpec, items: Sequence[Item], wanted: Wanted) -> list[Item]:
    """The items that are wanted, in the wanted order; those without a score come after the others.

    Raises:
        Refused: the study has no such domain.
    """
    domains = [domain.name for domain in study.domains]
    for name in (wanted.domain, wanted.sort):
        if name not in (None, "number", "score", *domains):
            raise invalid(f"no domain {name!r} in study {study.name!r}; it has {domains}")
    found = [item for item in items if _is_wanted(item, wanted)]
    if wanted.sort == "score":
        scored = [(item.score.value, item) for item in found if item.score is not None]
        scored.sort(key=lambda pair: pair[0], reverse=not wanted.rising)
        return [item for _, item in scored] + [item for item in found if item.score is None]
    if wanted.sort == "number":
        return found if wanted.rising else found[::-1]
    return sorted(
        found, key=lambda item: item.mixture.get(wanted.sort, 0.0), reverse=not wanted.rising
    )


def _is_wanted(item: Item, wanted: Wanted) -> bool:
    if wanted.state is not None and item.state != wanted.state:
        return False
    if wanted.least is not None and (
        item.score is None or 100 * item.score.value < wanted.least - 1e-9
    ):
        return False
    if wanted.domain is not None:
        return 100 * item.mixture.get(wanted.domain, 0.0) >= wanted.weight - 1e-9
    return True
