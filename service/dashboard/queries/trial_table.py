"""The trials of a study as a table, sorted and filtered by the database."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from db import cost, models, tags
from db.models import Trial
from service.dashboard.queries import boards, repeats
from service.dashboard.queries.forms import Sought, Unset
from service.dashboard.queries.trial_columns import Column, columns
from service.errors import invalid
from service.schemas import Channel, StudySpec, TrialState
from service.schemas import Trial as Shown
from service.search.runs import SCHEDULED
from service.study import export_columns, origins, views

PAGE = 100
"""Rows at once."""


class View(BaseModel):
    """Which rows and columns, in which order; in addresses, so that a view can be sent to
    somebody."""

    model_config = ConfigDict(extra="forbid")

    sort: Annotated[str, Field(max_length=80)] = "trial"
    """Key of a column."""
    rising: bool = False
    state: Annotated[TrialState | None, Unset] = None
    origin: Annotated[origins.Origin | None, Unset] = None
    channel: Annotated[Channel | None, Unset] = None
    tag: Annotated[Sought | None, Unset] = None
    """That a trial has among its tags, as a whole."""
    text: Sought = ""
    """In the note, a tag, the error, the reason of the proposal, or the worker's name."""
    same_as: Annotated[Annotated[int, Field(ge=1, lt=2**31)] | None, Unset] = None
    """Number of a trial whose mixture, or schedule, they have."""
    column: Annotated[list[str], Field(max_length=400)] = Field(default_factory=list)
    """Keys of those that are shown; none for the usual ones."""
    page: Annotated[int, Field(ge=1, lt=2**31)] = 1

    @property
    def is_filtered(self) -> bool:
        return any((self.state, self.origin, self.channel, self.tag, self.text, self.same_as))


@dataclass(frozen=True, slots=True)
class Row:
    """A trial, and what its attempts cost so far; None where no worker had it.

    Attributes:
        same: other trials of the same mixture or schedule; only where there is a column for them.
    """

    trial: Shown
    origin: origins.Origin
    gpu_hours: float | None
    same: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A page of trials.

    Attributes:
        columns: that are shown.
        choices: all there are.
        n: trials that the filter lets through, of `n_all`.
    """

    spec: StudySpec
    view: View
    columns: Sequence[Column]
    choices: Sequence[Column]
    rows: Sequence[Row]
    n: int
    n_all: int

    @property
    def n_pages(self) -> int:
        return max(1, math.ceil(self.n / PAGE))

    @property
    def first(self) -> int:
        """Place of the first row among those that the filter lets through; 0 without one."""
        return PAGE * (self.view.page - 1) + 1 if self.rows else 0

    def query(self, **changes: Any) -> str:
        """The query of an address with this view, changed; what is as usual is left out."""
        wanted = self.view.model_dump() | changes
        usual = View().model_dump()
        as_usual = {column.key for column in self.choices if column.is_usual}
        if {"trial", *wanted["column"]} == as_usual:
            wanted["column"] = []
        kept = {key: value for key, value in wanted.items() if value not in (usual[key], None)}
        if "rising" in kept:
            kept["rising"] = "true"
        return urlencode(kept, doseq=True)

    def turned(self, column: Column) -> str:
        """The query with the rows by a column: the highest first, or the other way round if they
        are by it already."""
        is_now = self.view.sort == column.key
        return self.query(sort=column.key, rising=is_now and not self.view.rising, page=1)


def read(session: Session, study: models.Study, view: View) -> Table:
    """The page of the table that a view asks for; the last one where it has not so many.

    Raises:
        Refused: the study has no such column.
    """
    spec = views.spec(study)
    choices = columns(spec)
    chosen = _chosen(spec, choices, view)
    wanted = _wanted(session, study, view)
    n_all = session.scalar(select(func.count(Trial.id)).where(Trial.study_id == study.id)) or 0
    n = n_all
    if view.is_filtered:
        n = session.scalar(select(func.count(Trial.id)).where(*wanted)) or 0
    view = view.model_copy(update={"page": min(view.page, max(1, math.ceil(n / PAGE)))})
    query = _sorted(study, choices, view).where(*wanted)
    found = session.scalars(query.limit(PAGE).offset(PAGE * (view.page - 1))).all()
    return Table(spec, view, chosen, choices, _rows(session, study, spec, found, chosen), n, n_all)


def records(session: Session, study: models.Study, view: View) -> Iterator[list[Any]]:
    """The chosen columns of all trials that a view lets through, in its order, for a file: names
    first, then a row a trial.

    Raises:
        Refused: the study has no such column.
    """
    spec = views.spec(study)
    choices = columns(spec)
    shown = [c for c in _chosen(spec, choices, view) if c.kind != "mixture"]
    yield _heads(shown)
    query = _sorted(study, choices, view).where(*_wanted(session, study, view))
    for row in _rows(session, study, spec, session.scalars(query).all(), shown):
        yield [_value(row, column) for column in shown]


def known_tags(session: Session, study: models.Study) -> list[str]:
    """All tags that trials of a study have, by name."""
    stored = select(Trial.tags).where(Trial.study_id == study.id, Trial.tags != "").distinct()
    found = {tag for text in session.scalars(stored) for tag in tags.parted(text)}
    return sorted(found, key=str.casefold)


def _heads(shown: Sequence[Column]) -> list[str]:
    """Their names in a file, no two alike: the later of two has its kind before it."""
    found: list[str] = []
    for column in shown:
        head = column.head
        while head in found:
            head = f"{column.kind}_{head}"
        found.append(head)
    return found


def _chosen(spec: StudySpec, choices: Sequence[Column], view: View) -> list[Column]:
    known = {column.key: column.by is not None for column in choices}
    for key in (view.sort, *view.column):
        if key not in known:
            raise invalid(f"study {spec.name!r} has no column {key!r}; it has {', '.join(known)}")
    if not known[view.sort]:
        raise invalid(f"trials have no order by {view.sort!r}; sort by a domain, as in w_NAME")
    if not view.column:
        return [column for column in choices if column.is_usual]
    return [column for column in choices if column.key in {"trial", *view.column}]


def _wanted(session: Session, study: models.Study, view: View) -> list[ColumnElement[bool]]:
    only = [Trial.study_id == study.id]
    if view.state is not None:
        only.append(Trial.state == view.state)
    if view.origin is not None:
        only.append(origins.column() == view.origin)
    if view.channel is not None:
        only.append(Trial.channel == view.channel)
    if view.tag is not None:
        only.append(tags.has(view.tag))
    if view.same_as is not None:
        only.append(Trial.number.in_(_same_as(session, study, view.same_as)))
    if text := view.text.strip():
        said = (Trial.note, Trial.tags, Trial.error, Trial.proposal["reason"].as_string())
        only.append(
            or_(
                *(column.icontains(text, autoescape=True) for column in said),
                Trial.attempt.has(models.Attempt.worker.icontains(text, autoescape=True)),
            )
        )
    return only


def _same_as(session: Session, study: models.Study, number: int) -> list[int]:
    """The trial of this number and those that run the same; none where there is no such trial."""
    row = session.scalar(boards.of_study(study).where(Trial.number == number))
    if row is None:
        return []
    return [number, *repeats.others(session, study, views.trial(row, views.spec(study)))]


def _sorted(study: models.Study, choices: Sequence[Column], view: View) -> Select[Trial]:
    """The trials in the view's order; those without a value last, equal ones the newest first."""
    (by,) = (c.by for c in choices if c.key == view.sort and c.by is not None)
    order = by.asc() if view.rising else by.desc()
    return boards.of_study(study).order_by(order.nulls_last(), Trial.number.desc())


def _rows(
    session: Session,
    study: models.Study,
    spec: StudySpec,
    found: Sequence[Trial],
    columns: Sequence[Column],
) -> list[Row]:
    shown = [views.trial(trial, spec) for trial in found]
    of_these = Trial.number.in_([trial.number for trial in shown])
    some = (of_these,) if len(shown) <= PAGE else ()
    spent: Mapping[int, float] = cost.by_trial(session, study.id, *some) if shown else {}
    is_asked = any(column.kind == "same" for column in columns)
    same = repeats.all_others(session, study) if is_asked else {}
    return [
        Row(
            trial,
            origins.of(trial.origin, trial.proposal),
            spent.get(trial.number),
            same.get(trial.number, ()),
        )
        for trial in shown
    ]


def _value(row: Row, column: Column) -> Any:
    """A cell of a file: fractions as they are stored, times as ISO 8601, nothing for nothing."""
    trial = row.trial
    match column.kind:
        case "trial":
            value: Any = trial.number
        case "score":
            score = getattr(trial.scores, column.key)
            value = None if score is None else score.value
        case "origin":
            value = row.origin
        case "hours":
            value = None if row.gpu_hours is None else f"{row.gpu_hours:.6g}"
        case "weight":
            value = trial.mixture.get(column.name, 0.0)
        case "benchmark":
            value = last_score(trial, column.name)
        case "moment":
            at = moment(row, column)
            value = None if at is None else at.isoformat()
        case "note":
            value = trial.error or trial.note
        case "same":
            value = export_columns.TAG_MARK.join(map(str, row.same))
        case "tags":
            value = export_columns.TAG_MARK.join(trial.tags)
        case _:
            value = text(row, column)
    return "" if value is None else value


def text(row: Row, column: Column) -> Any:
    """What stands in a column that shows a field of a trial as it is."""
    if column.key == "strategy":
        return row.trial.proposal.strategy if row.trial.proposal else ""
    if column.key == "channel" and row.trial.schedule:
        return SCHEDULED
    return getattr(row.trial, column.key)


def moment(row: Row, column: Column) -> Any:
    """The time in a column of times."""
    return getattr(row.trial, f"{column.key}_at")


def last_score(trial: Shown, benchmark: str) -> float | None:
    """The score of a benchmark that counts: the last one by the paper's rule."""
    found = [m for m in trial.measurements if m.benchmark == benchmark and m.rule == "paper"]
    return max(found, key=lambda m: m.step).score if found else None
