"""Taking a trial: a worker is noted, given back what it lost the answer of, or given the next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from db import clock, events, measurements, queue, states, trials
from db.clock import after, now
from db.leases.tokens import token_hash
from db.models import LIVE, Attempt, Base, Study, Trial
from db.prepared import Prepared

WORKERS = Base.metadata.tables["workers"]

# Statements of the calls that come all the time. They are built once: building one takes longer
# than running it.


_SEEN = Prepared(
    update(WORKERS)
    .where(WORKERS.c.name == bindparam("who"))
    .values(capabilities=bindparam("can"), last_seen_at=now())
    .returning(WORKERS.c.name)
)
_HELD_BY = (
    select(Attempt.trial_id, Attempt.id, Study.name, Study.owner)
    .join(Trial, Trial.id == Attempt.trial_id)
    .join(Study, Study.id == Trial.study_id)
    .where(Attempt.worker == bindparam("who"), Attempt.state == LIVE, Attempt.heard_at.is_(None))
    .order_by(Attempt.trial_id)
)


def seen(session: Session, worker: str, capabilities: dict[str, Any]) -> None:
    """Notes that a worker asks for work, and what it can do.

    Of several calls of one worker, the others wait here for the end of the first: a call that is
    sent again while it is still under way must not get a second trial.
    """
    row = {"who": worker, "can": capabilities}
    if _SEEN.one_or_none(session, row) is not None:
        return
    try:
        with session.begin_nested():
            session.execute(insert(WORKERS), {"name": worker, "capabilities": capabilities})
    except IntegrityError:  # the other call was its first
        _SEEN.one(session, row)


def resume(
    session: Session, worker: str, study: str | None, token: str, owner: str | None = None
) -> Attempt | None:
    """The worker's own lease again, under a new token, when the answer that gave it was lost.

    Lost means that its token was never used. The lease is not made longer, so a worker that dies
    every time before its first heartbeat still uses up its attempts. A lease that was used is left
    alone: who beats it has it, and not whoever calls under the same name.

    Args:
        owner: whose studies alone the worker serves; None for all.
    """
    held = [
        (trial_id, attempt_id, name)
        for trial_id, attempt_id, name, of in session.execute(_HELD_BY, {"who": worker})
        if owner in (None, of)
    ]
    # All trials before any study, as everywhere.
    locked = {trial_id: trials.lock(session, trial_id) for trial_id, _, _ in held}
    kept: Attempt | None = None
    for trial_id, attempt_id, name in held:
        trial = locked[trial_id]
        attempt = session.get_one(Attempt, attempt_id, populate_existing=True)
        if attempt.state != "live" or attempt.heard_at is not None:
            continue
        if kept is not None or study not in (None, name):
            states.end(session, attempt, "released")
            states.move(session, trial, "queued", actor=f"worker {worker}", what="released")
        else:
            attempt.token_hash = token_hash(token)
            if attempt.until <= clock.read(session):
                attempt.until = after(attempt.lease_s)
            events.changed(
                session, trial.study_id, actor=f"worker {worker}", what="lease-renewed", trial=trial
            )
            kept = attempt
    session.flush()
    if kept is not None:
        set_committed_value(kept, "trial", trials.get(session, kept.trial_id))
    return kept


def claim(
    session: Session,
    worker: str,
    study: str | None,
    token: str,
    gpus: int = 1,
    ready: Sequence[int] = (),
) -> Attempt | None:
    """Leases the next queued trial of an active study to a worker; None when there is none that it
    may have now (`queue.py`).

    Args:
        ready: ids of the trials of channel `merged` that it may have: their experts are there.

    The attempt has its trial, loaded as by `trials.get`.
    """
    trial = queue.head(session, worker, study, ready)
    if trial is None:
        return None
    queue.wake(trial)
    number = trial.attempt_number + 1
    earlier = measurements.of_trial(session, trial.id) if number > 1 else []
    trial.attempt_number = number
    at = states.move(session, trial, "running", actor=f"worker {worker}", what="claimed")
    trial.started_at = at
    attempt = Attempt(
        trial_id=trial.id,
        number=number,
        worker=worker,
        token_hash=token_hash(token),
        gpus=gpus,
        lease_s=trial.study.lease_s,
        until=at + timedelta(seconds=trial.study.lease_s),
        claimed_at=at,
    )
    session.add(attempt)
    session.flush()
    trials.fill(trial, attempt, earlier)
    set_committed_value(attempt, "trial", trial)
    return attempt
