"""What a study has cost in GPU-hours, and what the rest of it will."""

from __future__ import annotations

from sqlalchemy.orm import Session

from db import cost, models
from db.clock import HOUR_S
from service.schemas import StudyCost
from service.schemas.spec import FULL

MERGED_COST = 0.2
"""Of a merged model in full runs, before one was scored: what it takes on the offline world."""
LEAST_COST = 1e-3


def in_runs(session: Session, row: models.Study, channel: str, unknown: float) -> float:
    """What a result of another channel costs in full runs of this study.

    Args:
        unknown: what is taken for it before there is one of each.
    """
    spent = cost.of_a_result(session, row.id)
    if not spent.get(FULL) or channel not in spent:
        return unknown
    return max(LEAST_COST, spent[channel] / spent[FULL])


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
