"""What a study has cost in GPU-hours, and what the rest of it will."""

from __future__ import annotations

from sqlalchemy.orm import Session

from db import cost, models
from db.clock import HOUR_S
from service.schemas import StudyCost


def read(session: Session, row: models.Study, *, by_trial: bool = False) -> StudyCost:
    """A study's cost now, and with `by_trial` that of each of its trials."""
    running = cost.running(session, [row.id]).get(row.id, 0.0)
    ended = row.gpu_s / HOUR_S
    a_run = left = None
    if row.completed:
        a_run = ended / row.completed
        left = max(0.0, a_run * (row.planned - row.completed) - running)
    return StudyCost(
        used=ended + running,
        running=running,
        a_run=a_run,
        left=left,
        trials=cost.by_trial(session, row.id) if by_trial else {},
    )
