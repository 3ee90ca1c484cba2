"""What runs cost: the GPUs of each attempt times how long it held its trial.

An attempt that lost its lease counts up to the last sign of life: what its worker did then is not
known. A worker on a CPU counts as one GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Double, and_, case, func, or_, select, type_coerce, update
from sqlalchemy.orm import Session, aliased

from db.clock import HOUR_S, now
from db.models import Attempt, Study, Trial
from db.trial_states import WHOLE

_END = case(
    (Attempt.state == "live", now()),
    (Attempt.state == "expired", func.coalesce(Attempt.heard_at, Attempt.claimed_at)),
    else_=func.coalesce(Attempt.ended_at, Attempt.claimed_at),
)
_HELD_S = type_coerce(_END, Double) - type_coerce(Attempt.claimed_at, Double)
# Not below 0, though the clock be set back.
GPU_S: ColumnElement[float] = case((_HELD_S > 0, _HELD_S), else_=0.0) * Attempt.gpus
"""GPU-seconds of an attempt so far."""

OF_TRIAL: ColumnElement[float | None] = (
    select(func.sum(GPU_S)).where(Attempt.trial_id == Trial.id).correlate(Trial).scalar_subquery()
)
"""GPU-seconds of a trial so far, for queries of trials; NULL where no worker ever had it."""


def count(session: Session, attempt: Attempt, sign: int = 1) -> None:
    """Adds what an ended attempt cost to its study's sum, or takes it away with `sign` -1."""
    spent = select(GPU_S).where(Attempt.id == attempt.id).scalar_subquery()
    study = select(Trial.study_id).where(Trial.id == attempt.trial_id).scalar_subquery()
    session.execute(
        update(Study)
        .where(Study.id == study)
        .values(gpu_s=Study.gpu_s + sign * spent)
        .execution_options(synchronize_session=False)
    )


def count_anew(session: Session, study_id: int) -> None:
    """Sets a study's sum to what its ended attempts say."""
    spent = (
        select(func.coalesce(func.sum(GPU_S), 0.0))
        .join(Trial, Trial.id == Attempt.trial_id)
        .where(Trial.study_id == study_id, Attempt.state != "live")
        .scalar_subquery()
    )
    session.execute(
        update(Study)
        .where(Study.id == study_id)
        .values(gpu_s=spent)
        .execution_options(synchronize_session=False)
    )


def by_trial(session: Session, study_id: int, *only: ColumnElement[bool]) -> dict[int, float]:
    """GPU-hours of a study's trials so far, live attempts up to now, by the trial's number; none
    of those that no worker ever had."""
    rows: Sequence[Any] = session.execute(
        select(Trial.number, func.sum(GPU_S))
        .join(Attempt, Attempt.trial_id == Trial.id)
        .where(Trial.study_id == study_id, *only)
        .group_by(Trial.number)
        .order_by(Trial.number)
    ).all()
    return {number: spent / HOUR_S for number, spent in rows}


def by_attempt(
    session: Session, study_id: int
) -> Sequence[tuple[str, dict[str, float], dict[str, float], float]]:
    """Each attempt's channel, its trial's mixture, the metrics it reported last, and what it has
    cost in GPU-hours."""
    rows = session.execute(
        select(Trial.channel, Trial.mixture, Attempt.metrics, GPU_S)
        .join(Attempt, Attempt.trial_id == Trial.id)
        .where(Trial.study_id == study_id)
    )
    return [
        (channel, mixture, metrics, spent / HOUR_S) for channel, mixture, metrics, spent in rows
    ]


def of_a_result(session: Session, study_id: int) -> dict[str, float]:
    """GPU-seconds of a completed trial by its channel, the mean over those that workers ran; but of
    merged models that found a scale for all later ones, which tell it again: these are evaluated
    several times over."""
    scale = case((Trial.channel == "merged", Trial.artifacts["scale_at_uniform"].as_string()))
    told_by = func.row_number().over(
        partition_by=(Trial.channel, scale), order_by=(Trial.finished_at, Trial.id)
    )
    each = (
        select(Trial.channel, func.sum(GPU_S).label("spent"), told_by.label("told_by"))
        .join(Attempt, Attempt.trial_id == Trial.id)
        .where(Trial.study_id == study_id, Trial.state == WHOLE)
        .group_by(Trial.id)
        .subquery()
    )
    rows = session.execute(
        select(each.c.channel, func.avg(each.c.spent))
        .where(or_(each.c.channel != "merged", each.c.told_by > 1))
        .group_by(each.c.channel)
    )
    return dict(rows.all())


def to_a_step(session: Session, study_id: int) -> dict[int, float]:
    """GPU-seconds that it took trials to come to the step where they paused, the mean by step."""
    paused = aliased(Attempt)
    each = (
        select(paused.step, func.sum(GPU_S).label("spent"))
        .join(Attempt, and_(Attempt.trial_id == paused.trial_id, Attempt.number <= paused.number))
        .join(Trial, Trial.id == paused.trial_id)
        .where(Trial.study_id == study_id, paused.state == "paused", paused.step.is_not(None))
        .group_by(paused.id, paused.step)
        .subquery()
    )
    rows = session.execute(select(each.c.step, func.avg(each.c.spent)).group_by(each.c.step))
    return dict(rows.all())


def running(session: Session, study_ids: Sequence[int]) -> dict[int, float]:
    """GPU-hours of live attempts so far, by study; none where there are none."""
    rows: Sequence[Any] = session.execute(
        select(Trial.study_id, func.sum(GPU_S))
        .join(Attempt, Attempt.trial_id == Trial.id)
        .where(Trial.study_id.in_(study_ids), Attempt.state == "live")
        .group_by(Trial.study_id)
    ).all()
    return {study_id: spent / HOUR_S for study_id, spent in rows}
