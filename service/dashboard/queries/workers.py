"""Who works, where, on what, and what came of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from db import clock, models

SHOWN = 200
"""Workers shown: those heard of last."""

HISTORY = 50
"""Attempts shown: those taken last."""


CAPABILITIES = 64
"""Shown of a worker: as many as are taken, and no more of one that was stored before that."""

AWAY_S = 600.0
"""Silence after which a worker without a trial counts as gone; a waiting one asks every 30 s."""


@dataclass(frozen=True, slots=True)
class Job:
    """One try at a trial."""

    study: str
    trial: int
    attempt: int
    worker: str
    state: str
    claimed_at: datetime
    heard_at: datetime | None
    ended_at: datetime | None
    until: datetime
    step: int | None
    total_steps: int | None
    error: str | None
    stop_at: int | None
    asked: str | None
    asked_why: str | None

    @property
    def is_live(self) -> bool:
        return self.state == "live"

    @property
    def lasted_s(self) -> float | None:
        if self.ended_at is None:
            return None
        return max(0.0, (self.ended_at - self.claimed_at).total_seconds())


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker.

    Attributes:
        heard_at: its last sign of life: asking for work, or speaking of a trial.
        counts: of its attempts in each state.
    """

    name: str
    capabilities: dict[str, Any]
    first_seen_at: datetime
    heard_at: datetime
    live: Sequence[Job]
    counts: dict[str, int]

    def is_away(self, at: datetime) -> bool:
        """Whether it holds no trial and has not asked for one for a while."""
        return not self.live and (at - self.heard_at).total_seconds() > AWAY_S


@dataclass(frozen=True, slots=True)
class Roster:
    """The workers heard of last, how many there are in all, and the newest attempts.

    Attributes:
        at: when it was read, by the database's clock.
    """

    workers: Sequence[Worker]
    n: int
    history: Sequence[Job]
    at: datetime

    @property
    def n_working(self) -> int:
        return sum(bool(worker.live) for worker in self.workers)

    @property
    def n_waiting(self) -> int:
        return sum(not (w.live or w.is_away(self.at)) for w in self.workers)


def read(session: Session) -> Roster:
    """All that the page shows."""
    spoke = (
        select(models.Attempt.worker, func.max(models.Attempt.heard_at).label("at"))
        .group_by(models.Attempt.worker)
        .subquery()
    )
    asked_at = models.Worker.last_seen_at
    heard_at = case((spoke.c.at > asked_at, spoke.c.at), else_=asked_at)
    rows = session.execute(
        select(models.Worker, heard_at)
        .outerjoin(spoke, spoke.c.worker == models.Worker.name)
        .order_by(heard_at.desc(), models.Worker.name)
        .limit(SHOWN)
    ).all()
    names = [row.name for row, _ in rows]
    live: dict[str, list[Job]] = defaultdict(list)
    for job in _jobs(session, models.Attempt.worker.in_(names), models.Attempt.state == "live"):
        live[job.worker].append(job)
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    counted = session.execute(
        select(models.Attempt.worker, models.Attempt.state, func.count())
        .where(models.Attempt.worker.in_(names))
        .group_by(models.Attempt.worker, models.Attempt.state)
    )
    for name, state, n in counted:
        counts[name][state] = n
    workers = [
        Worker(
            name=row.name,
            capabilities=dict(islice(row.capabilities.items(), CAPABILITIES)),
            first_seen_at=row.first_seen_at,
            heard_at=at,
            live=live[row.name],
            counts=counts[row.name],
        )
        for row, at in rows
    ]
    n = session.scalar(select(func.count()).select_from(models.Worker)) or 0
    return Roster(workers, n, _jobs(session, limit=HISTORY), clock.read(session))


def _jobs(session: Session, *where: Any, limit: int | None = None) -> list[Job]:
    query = (
        select(models.Attempt, models.Trial, models.Study.name)
        .join(models.Trial, models.Trial.id == models.Attempt.trial_id)
        .join(models.Study, models.Study.id == models.Trial.study_id)
        .where(*where)
        .order_by(models.Attempt.id.desc())
        .limit(limit)
    )
    return [
        Job(
            study=study,
            trial=trial.number,
            attempt=row.number,
            worker=row.worker,
            state=row.state,
            claimed_at=row.claimed_at,
            heard_at=row.heard_at,
            ended_at=row.ended_at,
            until=row.until,
            step=row.step,
            total_steps=row.total_steps,
            error=row.error,
            stop_at=trial.stop_at,
            asked=trial.asked,
            asked_why=trial.asked_why,
        )
        for row, trial, study in session.execute(query)
    ]
