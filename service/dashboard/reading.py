"""What the pages show, read from the database in one consistent look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload, selectinload

from db import models, studies
from service import proposals, views
from service.dashboard.history import Histories, History
from service.schemas import Study, StudySpec, Trial

PAGE = 100
"""Trials shown at first, and added by every 'show more'."""

CHANGES = 200
"""Changed trials sent at once; the next poll gets the rest."""

STRIP = 8
"""Running trials shown at the top; all are in the list."""


@dataclass(frozen=True, slots=True)
class Board:
    """The head of a study.

    Attributes:
        revision: of the study when it was read; pass it on to learn what changed since.
        results: grows with every completed trial: figures drawn at the same number still hold.
        running: the newest of the running trials, at most `STRIP`.
        idle: why an active study neither runs nor queues a trial; None while it does.
    """

    study: Study
    history: History
    revision: int
    results: int
    running: Sequence[Trial]
    idle: str | None = None

    @property
    def domains(self) -> list[str]:
        return [domain.name for domain in self.study.domains]

    @property
    def n_done(self) -> int:
        return self.study.trials["completed"] + self.study.trials["early_stopped"]

    @property
    def n_trials(self) -> int:
        return sum(self.study.trials.values())


@dataclass(frozen=True, slots=True)
class Rows:
    """Trials for the list, newest first, and whether there are older ones."""

    trials: Sequence[Trial]
    more: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed after a revision; `after` is where the next look starts."""

    trials: Sequence[Trial]
    after: int
    more: bool


def everyone(session: Session, histories: Histories) -> list[Board]:
    """All studies, newest first, without their running trials."""
    rows = studies.everyone(session)
    counts = studies.trial_counts(session, [row.id for row in rows])
    return [_board(session, row, counts[row.id], histories, running=()) for row in rows]


def board(session: Session, row: models.Study, histories: Histories) -> Board:
    """One study with the newest of its running trials."""
    counts = studies.trial_counts(session, [row.id])[row.id]
    running: list[Trial] = []
    if counts.get("running"):
        query = _of(row).where(models.Trial.state == "running")
        found = session.scalars(query.order_by(models.Trial.number.desc()).limit(STRIP))
        running = _shown(found.all(), views.spec(row))
    idle = None
    if row.state == "active" and not counts.get("running") and not counts.get("queued"):
        idle = proposals.waiting(session, row.name)[0]
    elif row.state == "active" and row.proposer_error is not None:
        idle = f"{row.proposer_error}; seeds and random mixtures go on until it works again"
    return _board(session, row, counts, histories, running, idle)


def _board(
    session: Session,
    row: models.Study,
    counts: dict[str, int],
    histories: Histories,
    running: Sequence[Trial],
    idle: str | None = None,
) -> Board:
    study = views.study(row, counts)
    return Board(
        study=study,
        history=histories.of(session, row, study),
        revision=row.revision,
        results=row.results,
        running=running,
        idle=idle,
    )


def rows(session: Session, row: models.Study, before: int | None = None) -> Rows:
    """The newest trials, or the newest below a number."""
    query = _of(row)
    if before is not None:
        query = query.where(models.Trial.number < before)
    found = session.scalars(query.order_by(models.Trial.number.desc()).limit(PAGE + 1)).all()
    return Rows(_shown(found[:PAGE], views.spec(row)), len(found) > PAGE)


def changes(session: Session, row: models.Study, after: int, lowest: int) -> Changes:
    """Trials from number `lowest` on that changed after a revision, in order of change."""
    query = _of(row).where(models.Trial.revision > after, models.Trial.number >= lowest)
    found = session.scalars(query.order_by(models.Trial.revision).limit(CHANGES + 1)).all()
    more = len(found) > CHANGES
    shown = _shown(found[:CHANGES], views.spec(row))
    return Changes(shown, shown[-1].revision if more else row.revision, more)


def _of(row: models.Study) -> Select[models.Trial]:
    return (
        select(models.Trial)
        .where(models.Trial.study_id == row.id)
        .options(
            joinedload(models.Trial.study),
            joinedload(models.Trial.attempt),
            selectinload(models.Trial.measurements),
        )
    )


def _shown(found: Sequence[models.Trial], spec: StudySpec) -> list[Trial]:
    return [views.trial(trial, spec) for trial in found]
