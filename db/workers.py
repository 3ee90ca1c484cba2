"""Who is at work: workers that hold a trial, and those that have asked for one lately."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Double, and_, or_, select, type_coerce
from sqlalchemy.orm import Session

from db.clock import after, now
from db.models import Attempt, Study, Trial, Worker
from db.queue import OTHERS_S


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker, with the trial that it holds, if any.

    Attributes:
        held_s: for how long it holds it, in seconds.
    """

    name: str
    capabilities: dict[str, Any]
    asked_at: datetime
    heard_at: datetime | None
    study: str | None
    trial: int | None
    gpus: int | None
    held_s: float | None
    step: int | None
    total_steps: int | None


def holds_of(session: Session, worker: str) -> list[tuple[str, str | None]]:
    """Studies that a worker holds trials of, and their owners."""
    held = (
        select(Study.name, Study.owner)
        .join(Trial, Trial.study_id == Study.id)
        .join(Attempt, Attempt.trial_id == Trial.id)
        .where(Attempt.worker == worker, Attempt.state == "live")
        .order_by(Study.id)
    )
    return list(session.execute(held))


_HELD_S = type_coerce(now(), Double) - type_coerce(Attempt.claimed_at, Double)


def seen(session: Session, *, starts_with: str, beyond: str, limit: int) -> list[Seen]:
    """Workers by name, one row for each trial that one holds.

    Args:
        starts_with: of their names.
        beyond: only names after this one.
    """
    rows = session.execute(
        select(
            Worker.name,
            Worker.capabilities,
            Worker.last_seen_at,
            Attempt.heard_at,
            Study.name,
            Trial.number,
            Attempt.gpus,
            _HELD_S,
            Attempt.step,
            Attempt.total_steps,
        )
        .outerjoin(Attempt, and_(Attempt.worker == Worker.name, Attempt.state == "live"))
        .outerjoin(Trial, Trial.id == Attempt.trial_id)
        .outerjoin(Study, Study.id == Trial.study_id)
        .where(
            Worker.name > beyond,
            Worker.name.startswith(starts_with, autoescape=True),
            or_(Attempt.id.is_not(None), Worker.last_seen_at > after(-OTHERS_S)),
        )
        .order_by(Worker.name, Attempt.id)
        .limit(limit)
    )
    return [Seen(*row) for row in rows]
