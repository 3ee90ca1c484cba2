"""The log of changes: every change of state is an event row and a step of the study's revision."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, case, insert, select, update
from sqlalchemy.orm import Session

from db.clock import now
from db.models import Base, Event, Trial

STUDIES, EVENTS = (Base.metadata.tables[name] for name in ("studies", "events"))

_STEP = (
    update(STUDIES)
    .where(STUDIES.c.id == bindparam("of_study"))
    .values(
        revision=STUDIES.c.revision + 1,
        results=STUDIES.c.results + bindparam("more_results"),
        merged=STUDIES.c.merged + bindparam("more_merged"),
        unspent=STUDIES.c.unspent + bindparam("more_unspent"),
        failing=case(
            (bindparam("more_results") > 0, 0), else_=STUDIES.c.failing + bindparam("more_failed")
        ),
        gpu_s=STUDIES.c.gpu_s + bindparam("more_gpu_s"),
        updated_at=now(),
    )
    .returning(STUDIES.c.revision, STUDIES.c.updated_at)
)
_NOTE = insert(EVENTS)


def changed(
    session: Session,
    study_id: int,
    *,
    actor: str,
    what: str | None,
    trial: Trial | None = None,
    is_result: bool = False,
    is_failure: bool = False,
    **detail: Any,
) -> datetime:
    """Notes a change, gives the trial the study's new revision, and says when, by the database.

    Locks the study's row until the end of the transaction, so revisions are committed in order and
    `?after=` never misses one. The caller holds the trial's lock, or has just stored it. What else
    changed of the trial is written together with its revision, at the next flush.

    Args:
        what: name of the event; None for progress that is not worth a row.
        is_result: the completed trials are no longer the same; a row of failures ends.
        is_failure: the trial failed for good.
    """
    with session.no_autoflush:
        is_merged = trial is not None and trial.channel == "merged"
        revision, at = step(
            session,
            study_id,
            is_result=is_result,
            is_merged=is_result and is_merged,
            is_failure=is_failure,
            unspent=1 - trial.share if is_result and trial is not None else 0.0,
        )
        if trial is not None:
            trial.revision = revision
        if what is not None:
            number = None if trial is None else trial.attempt_number or None
            trial_id = None if trial is None else trial.id
            note(session, at, study_id, trial_id, number, actor=actor, what=what, detail=detail)
    return at


def step(
    session: Session,
    study_id: int,
    *,
    is_result: bool = False,
    is_merged: bool = False,
    is_failure: bool = False,
    unspent: float = 0.0,
    gpu_s: float = 0.0,
) -> tuple[int, datetime]:
    """A study's next revision, and when it is, by the database. `changed` says what that locks.

    Args:
        is_merged: the result is of a merged model.
        unspent: share of a whole run that the result's run was not trained for.
        gpu_s: GPU-seconds of an attempt that has ended.
    """
    revision, at = session.execute(
        _STEP,
        {
            "of_study": study_id,
            "more_results": int(is_result),
            "more_merged": int(is_merged),
            "more_failed": int(is_failure),
            "more_unspent": unspent,
            "more_gpu_s": gpu_s,
        },
    ).one()
    return revision, at


def note(
    session: Session,
    at: datetime,
    study_id: int,
    trial_id: int | None,
    attempt_number: int | None,
    *,
    actor: str,
    what: str,
    detail: dict[str, Any],
) -> None:
    """Writes an event's row."""
    session.execute(
        _NOTE,
        {
            "at": at,
            "study_id": study_id,
            "trial_id": trial_id,
            "attempt_number": attempt_number,
            "actor": actor,
            "what": what,
            "detail": detail,
        },
    )


def of_trial(session: Session, trial_id: int) -> list[Event]:
    """A trial's events, oldest first."""
    return list(session.scalars(select(Event).where(Event.trial_id == trial_id).order_by(Event.id)))
