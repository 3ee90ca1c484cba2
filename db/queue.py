"""Which queued trial a worker is given next, which ones rest, and from whom one is kept.

A trial that comes back again and again rests, longer each time: its workers would do nothing else.
One that a worker could not run goes to another, who may have what it lacks. Where there is no other
the same worker gets it again after a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, contains_eager

from db import clock
from db.clock import after, now
from db.models import Attempt, Study, Trial, Worker

FAILURES_IN_A_ROW = 5
"""So many trials failed for good and none completed: more of the same would burn GPU time."""

LONGEST_REST_S = 300.0

RELEASES_AT_ONCE = 4
"""So often a trial may come back before its first step, and waits for the next worker at once."""

KEPT_S = 60.0
"""How long a trial is kept from the worker whose run of it broke, where others are there."""

OTHERS_S = 120.0
"""A worker that asked for work so lately is there."""


def rests_s(releases: int, *, is_unfit: bool) -> float:
    """How long a trial is held back that was handed back so many times in a row, in seconds.

    Args:
        is_unfit: the last worker could not run it where it is; another is asked at once.
    """
    if is_unfit:
        return 0.0 if releases <= 1 else _growing(5.0, releases - 2)
    return 0.0 if releases <= RELEASES_AT_ONCE else _growing(2.0, releases - RELEASES_AT_ONCE - 1)


def kept_s(releases: int) -> float:
    """How long a trial is kept from a worker that could not run it where it is, in seconds."""
    return _growing(10.0, releases - 1)


def _growing(first: float, doublings: int) -> float:
    return float(min(LONGEST_REST_S, first * 2.0 ** min(doublings, 30)))


def hand_back(session: Session, trial: Trial, attempt: Attempt, *, is_unfit: bool) -> None:
    """Notes that a trial's attempt was given up with nothing counted against the trial."""
    # One that came further than its first step was interrupted, nothing more.
    trial.releases = 1 if attempt.step else trial.releases + 1
    rests = rests_s(trial.releases, is_unfit=is_unfit)
    at = clock.read(session)
    trial.rests_until = at + timedelta(seconds=rests) if rests else None
    if is_unfit:
        _keep_from(trial, attempt.worker, at + timedelta(seconds=kept_s(trial.releases)))


def keep_from_who_failed(session: Session, trial: Trial, attempt: Attempt) -> None:
    """Leaves a trial whose run broke to another worker, where there is one."""
    others = select(Worker.name).where(
        Worker.name != attempt.worker, Worker.last_seen_at > after(-OTHERS_S)
    )
    if session.scalar(others.limit(1)) is not None:
        _keep_from(trial, attempt.worker, clock.read(session) + timedelta(seconds=KEPT_S))


def _keep_from(trial: Trial, worker: str, until: datetime) -> None:
    trial.kept_from, trial.kept_from_until = worker, until


def wake(trial: Trial) -> None:
    """Whatever it rested for is over: it was given to a worker, or a person wants it now."""
    trial.rests_until = trial.kept_from = trial.kept_from_until = None


def _is_over(moment: InstrumentedAttribute[datetime | None]) -> ColumnElement[bool]:
    # An end that is further away comes of a clock that was set back.
    return or_(moment <= now(), moment > after(LONGEST_REST_S + 1.0))


_IS_WANTED = or_(Trial.origin != "proposed", Study.failing < FAILURES_IN_A_ROW)
"""While a study is stuck its proposals are held back; what a person queued is not."""

IS_DUE = and_(
    Trial.state == "queued",
    Study.state == "active",
    _IS_WANTED,
    or_(Trial.rests_until.is_(None), _is_over(Trial.rests_until)),
    or_(
        Trial.kept_from.is_(None),
        Trial.kept_from != bindparam("who"),
        _is_over(Trial.kept_from_until),
    ),
)
"""A queued trial of an active study may be given to the worker `who` now."""
_IS_A_RUN = Trial.channel == "full"
_IS_READY = or_(_IS_A_RUN, Trial.id.in_(bindparam("ready", expanding=True)))
"""Merged models need experts: which of them may be given away is for the caller to say."""


def _head(*, of_one_study: bool, with_merged: bool) -> Select[Trial]:
    head = (
        select(Trial)
        .join(Trial.study)
        .options(contains_eager(Trial.study))
        .where(IS_DUE, _IS_READY if with_merged else _IS_A_RUN)
        .order_by(-Trial.priority, Trial.id)  # the words of the index
        .limit(1)
        .with_for_update(skip_locked=True, of=Trial)
        .execution_options(populate_existing=True)
    )
    return head.where(Study.name == bindparam("named")) if of_one_study else head


# Built once: building one takes longer than running it.
_HEADS = {
    (of_one_study, with_merged): _head(of_one_study=of_one_study, with_merged=with_merged)
    for of_one_study in (False, True)
    for with_merged in (False, True)
}


def head(
    session: Session, worker: str, study: str | None, ready: Sequence[int] = ()
) -> Trial | None:
    """The trial that a worker is given next, with its study, locked; None when there is none.

    Args:
        ready: ids of the trials of channel `merged` that it may be given.
    """
    asked: dict[str, Any] = {"who": worker}
    if study is not None:
        asked["named"] = study
    if ready:
        asked["ready"] = list(ready)
    return session.scalar(_HEADS[study is not None, bool(ready)], asked)


def queued_merged(
    session: Session, study: str | None = None
) -> Sequence[tuple[int, int, dict[str, float]]]:
    """Ids of the queued trials of channel `merged` and of their studies, where these are active,
    and their mixtures, in the order of the queue."""
    query = (
        select(Trial.id, Trial.study_id, Trial.mixture)
        .join(Trial.study)
        .where(Trial.state == "queued", Trial.channel == "merged", Study.state == "active")
        .order_by(-Trial.priority, Trial.id)
    )
    if study is not None:
        query = query.where(Study.name == study)
    return session.execute(query).all()


_CLAIMABLE = (
    select(Trial.study_id, func.count())
    .join(Trial.study)
    .where(IS_DUE, _IS_READY, Trial.study_id.in_(bindparam("of_studies", expanding=True)))
    .group_by(Trial.study_id)
)


def claimable(
    session: Session, study_ids: Sequence[int], ready: Sequence[int] = ()
) -> dict[int, int]:
    """How many trials a worker that has had none would be given now, by study; none of those that
    have none.

    Args:
        ready: as for `head`.
    """
    asked = {"who": "", "of_studies": list(study_ids), "ready": list(ready)}
    rows = session.execute(_CLAIMABLE, asked)
    return dict(rows.all())


def due_in_s(
    session: Session, study_id: int, worker: str, ready: Sequence[int] = ()
) -> float | None:
    """Seconds until one of an active study's first queued trials may be given to this worker; 0
    when one may be now, None when they are held back for good.

    Args:
        ready: as for `head`.
    """
    rows = session.execute(
        select(Trial.rests_until, Trial.kept_from, Trial.kept_from_until)
        .join(Trial.study)
        .where(
            Trial.study_id == study_id,
            Trial.state == "queued",
            _IS_WANTED,
            or_(_IS_A_RUN, Trial.id.in_(ready)),
        )
        .order_by(-Trial.priority, Trial.id)
        .limit(100)
    ).all()
    if not rows:
        return None
    at = clock.read(session)
    ends = (
        [end for end in (rests, kept_until if kept_from == worker else None) if end is not None]
        for rests, kept_from, kept_until in rows
    )
    waits = (max((end - at).total_seconds() for end in found) if found else 0.0 for found in ends)
    return max(0.0, min(waits))
