"""Leases that end without their holder: they ran out, or its machine is gone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from db import queue, states, trials
from db.clock import after, now
from db.models import LIVE, Attempt, Base, Trial

ATTEMPTS = Base.metadata.tables["attempts"]


SET_BACK_S = 1.0
"""Smaller steps back of the database's clock are left alone: servers are set by these all day."""

_LIVE_OF = (
    select(Attempt.trial_id, Attempt.id)
    .where(Attempt.worker == bindparam("who"), Attempt.state == LIVE)
    .order_by(Attempt.trial_id)
)


def gone(session: Session, worker: str, actor: str) -> list[int]:
    """Ends what a worker holds whose machine is known to be dead, with nothing counted against its
    trials; returns their ids. Should it live after all, it hears that its lease is lost. Twice is
    once.
    """
    held = session.execute(_LIVE_OF, {"who": worker}).all()
    locked = {trial_id: trials.lock(session, trial_id) for trial_id, _ in held}
    freed: list[int] = []
    for trial_id, attempt_id in held:
        trial = locked[trial_id]
        attempt = session.get_one(Attempt, attempt_id, populate_existing=True)
        if attempt.state != "live" or trial.state != "running":
            continue
        queue.hand_back(session, trial, attempt, is_unfit=False)
        # What it cost goes up to its last sign of life: nobody knows what it did then.
        states.end(session, attempt, "released", attempt.heard_at or attempt.claimed_at)
        states.move(
            session,
            trial,
            "queued",
            actor=actor,
            what="released",
            reason=f"the machine of worker {worker} is gone",
        )
        freed.append(trial_id)
    session.flush()
    return freed


def run_out(
    session: Session, watched_since: datetime, limit: int = 200
) -> Sequence[tuple[int, int]]:
    """Ids of the trials and attempts whose leases a reaper may take away now.

    Args:
        watched_since: when the service and the database came up, by the database's clock. Nobody
            could send a heartbeat before, so a lease ends a whole lease period later at the
            earliest.
    """
    return session.execute(
        select(Attempt.trial_id, Attempt.id)
        .where(
            Attempt.state == LIVE,
            Attempt.until < now(),
            after(Attempt.lease_s, watched_since) < now(),
        )
        .order_by(Attempt.trial_id)
        .limit(limit)
    ).all()


_HELD = select(func.count()).select_from(ATTEMPTS).where(ATTEMPTS.c.state == LIVE)


def count_held(session: Session) -> int:
    """Leases that are held now, of all studies."""
    return session.execute(_HELD).scalar_one()


def bound(session: Session) -> None:
    """Lets no lease last longer than its period from now, as one would after the clock was set
    back."""
    session.execute(
        update(ATTEMPTS)
        .where(ATTEMPTS.c.state == LIVE, ATTEMPTS.c.until > after(ATTEMPTS.c.lease_s + SET_BACK_S))
        .values(until=after(ATTEMPTS.c.lease_s))
    )


def reap(session: Session, watched_since: datetime) -> list[int]:
    """Takes away leases that ran out; returns the trials' ids."""
    reaped: list[int] = []
    for trial_id, attempt_id in run_out(session, watched_since):
        trial = session.scalar(
            select(Trial)
            .where(Trial.id == trial_id)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        )
        attempt = session.scalar(
            select(Attempt)
            .where(Attempt.id == attempt_id, Attempt.state == LIVE, Attempt.until < now())
            .execution_options(populate_existing=True)
        )
        if trial is None or attempt is None:
            continue  # its holder was quicker
        if trial.state != "running":  # nothing here makes such a thing; it must not stop the others
            states.end(session, attempt, "expired")
            continue
        states.expire(session, trial, attempt, why="no heartbeat came in time")
        reaped.append(trial_id)
    return reaped
