"""What the pages show, read from the database in one consistent look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, joinedload, selectinload

from db import clock, curves, models, owners, studies
from db.owners import Usage
from service.dashboard.queries import forecast, sparklines, stories
from service.dashboard.queries.forecast import Forecast, Pace
from service.dashboard.queries.history import Histories, History
from service.dashboard.queries.sparklines import Spark
from service.dashboard.queries.stories import Happening
from service.schemas import Study, StudyCost, StudySpec, Trial
from service.study import cost, merge_waits, views, waiting

NEWEST = 10
"""Trials on a study's own page; the page of trials has all."""

CHANGES = 100
"""Changed trials sent at once; the next poll gets the rest."""

STRIP = 8
"""Running trials shown at the top; all are in the list."""


@dataclass(frozen=True, slots=True)
class Running:
    """A running trial.

    Attributes:
        left_s: in how many seconds its training ends; None while that is unknown.
        spark: its reward so far; None while there is none to draw.
    """

    trial: Trial
    left_s: float | None
    spark: Spark | None


@dataclass(frozen=True, slots=True)
class Board:
    """The head of a study.

    Attributes:
        revision: of the study when it was read; pass it on to learn what changed since.
        results: grows with every completed trial: figures drawn at the same number still hold,
            as long as `edits` of the study are the same.
        running: the newest of the running trials, at most `STRIP`.
        idle: why an active study runs no trial, or will run no more, where there is more to say
            than that what is queued waits for a worker; None while it does.
        n_workers: workers that hold a trial of it.
        forecast: when its budget is used; None in a list of studies.
        cost: None in a list of studies.
        owner: what its owner has used; None in a list of studies, or where it has no owner.
        last: what happened last; None on the study's own page.
    """

    study: Study
    history: History
    revision: int
    results: int
    edits: int
    n_workers: int
    running: Sequence[Running] = ()
    idle: str | None = None
    forecast: Forecast | None = None
    cost: StudyCost | None = None
    owner: Usage | None = None
    last: Happening | None = None

    @property
    def domains(self) -> list[str]:
        return [domain.name for domain in self.study.domains]

    @property
    def n_done(self) -> int:
        return self.study.n_done

    @property
    def n_trials(self) -> int:
        return sum(self.study.trials.values())


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
    at_work = _at_work(session)
    last = stories.last_of_studies(session)
    return [
        _board(
            row, counts[row.id], histories, session, at_work.get(row.id, 0), last=last.get(row.id)
        )
        for row in rows
    ]


def board(session: Session, row: models.Study, histories: Histories) -> Board:
    """One study with the newest of its running trials."""
    counts = studies.trial_counts(session, [row.id])[row.id]
    pace = forecast.read(session, row)
    idle = waiting.over_quota(session, row)
    if idle is None and row.state == "active" and not counts.get("running"):
        is_queued = bool(counts.get("queued"))
        idle = (
            waiting.came_back(session, row.id) or merge_waits.held_back(session, row)
            if is_queued
            else waiting.for_a_trial(session, row.name)[0]
        )
    if idle is None and row.state == "active" and row.proposer_error is not None:
        idle = f"{row.proposer_error}; seeds and random mixtures go on until it works again"
    return _board(
        row,
        counts,
        histories,
        session,
        _at_work(session, row).get(row.id, 0),
        running=_running(session, row, pace) if counts.get("running") else (),
        idle=idle,
        forecast=forecast.of(
            pace, math.ceil(row.planned - row.completed), is_active=row.state == "active"
        ),
        cost=cost.read(session, row),
        owner=None if row.owner is None else owners.usage(session, row.owner),
    )


def _board(
    row: models.Study,
    counts: dict[str, int],
    histories: Histories,
    session: Session,
    n_workers: int,
    **more: Any,
) -> Board:
    study = views.study(row, counts)
    return Board(
        study=study,
        history=histories.of(session, row, study),
        revision=row.revision,
        results=row.results,
        edits=row.edits,
        n_workers=n_workers,
        **more,
    )


def _at_work(session: Session, row: models.Study | None = None) -> dict[int, int]:
    """Workers that hold a trial, by study."""
    query = (
        select(models.Trial.study_id, func.count(models.Attempt.worker.distinct()))
        .join(models.Trial, models.Trial.id == models.Attempt.trial_id)
        .where(models.Attempt.state == "live")
        .group_by(models.Trial.study_id)
    )
    if row is not None:
        query = query.where(models.Trial.study_id == row.id)
    return dict(session.execute(query).all())


def _running(session: Session, row: models.Study, pace: Pace) -> list[Running]:
    query = of_study(row).where(models.Trial.state == "running")
    found = session.scalars(query.order_by(models.Trial.number.desc()).limit(STRIP)).all()
    spec, now = views.spec(row), clock.read(session)
    running = []
    for trial in found:
        points = [point for _, point in curves.read(session, trial)]
        total_steps = None if trial.attempt is None else trial.attempt.total_steps
        running.append(
            Running(
                trial=views.trial(trial, spec),
                left_s=(
                    forecast.left_s(trial.attempt, now, pace) if trial.channel == "full" else None
                ),
                spark=sparklines.of(points, total_steps),
            )
        )
    return running


def newest(session: Session, row: models.Study) -> list[Trial]:
    """The newest trials, the newest first."""
    found = session.scalars(of_study(row).order_by(models.Trial.number.desc()).limit(NEWEST))
    return _shown(found.all(), views.spec(row))


def changes(session: Session, row: models.Study, after: int, lowest: int) -> Changes:
    """Trials from number `lowest` on that changed after a revision, in order of change."""
    query = of_study(row).where(models.Trial.revision > after, models.Trial.number >= lowest)
    found = session.scalars(query.order_by(models.Trial.revision).limit(CHANGES + 1)).all()
    more = len(found) > CHANGES
    shown = _shown(found[:CHANGES], views.spec(row))
    return Changes(shown, shown[-1].revision if more else row.revision, more)


def of_study(row: models.Study) -> Select[models.Trial]:
    """A study's trials, each with all that is shown of it."""
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
