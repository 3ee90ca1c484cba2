"""The lease protocol: how workers take trials, keep them, finish them and give them back.

A lease is an attempt that is live: a random token, and a time it runs out by the database's clock.
It is only taken away when a reaper passes by, and as long as no other worker has taken the trial,
its old holder may still carry on: a slow heartbeat does not throw away a GPU run. What each state
means is said in `states.py`.

Locks are taken worker first (`seen`), then trial, then study (`events.changed`). What can be done
before the study is locked is, since all that is written of a study lines up at its row. Whoever
holds it first, to count trials, passes over trials that others have locked.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from db import clock, curves, events, measurements, queue, states, trials
from db.clock import after, now
from db.curves import Point
from db.errors import LeaseLost
from db.measurements import Reading
from db.models import Attempt, Base, Study, Trial

ATTEMPTS, WORKERS = (Base.metadata.tables[name] for name in ("attempts", "workers"))


MAX_METRICS = 500
"""Names of metrics of one attempt; more are forgotten."""

SET_BACK_S = 1.0
"""Smaller steps back of the database's clock are left alone: servers are set by these all day."""


# Statements of the calls that come all the time. They are built once: building one takes longer
# than running it.

_SEEN = (
    update(WORKERS)
    .where(WORKERS.c.name == bindparam("who"))
    .values(capabilities=bindparam("can"), last_seen_at=now())
    .returning(WORKERS.c.name)
)
_HELD_BY = (
    select(Attempt.trial_id, Attempt.id, Study.name)
    .join(Trial, Trial.id == Attempt.trial_id)
    .join(Study, Study.id == Trial.study_id)
    .where(Attempt.worker == bindparam("who"), Attempt.state == "live", Attempt.heard_at.is_(None))
    .order_by(Attempt.trial_id)
)
_LIVE_OF = (
    select(Attempt.trial_id, Attempt.id)
    .where(Attempt.worker == bindparam("who"), Attempt.state == "live")
    .order_by(Attempt.trial_id)
)
_ATTEMPT_UNDER = (
    select(Attempt)
    .where(Attempt.trial_id == bindparam("of_trial"), Attempt.token_hash == bindparam("hashed"))
    .execution_options(populate_existing=True)
)
_BEAT = (
    update(ATTEMPTS)
    .where(ATTEMPTS.c.id == bindparam("of_attempt"))
    .values(
        step=bindparam("at_step"),
        total_steps=bindparam("of_steps"),
        metrics=bindparam("with_metrics"),
        until=after(ATTEMPTS.c.lease_s),
        heard_at=now(),
    )
    .returning(ATTEMPTS.c.until)
)


def token_hash(token: str) -> str:
    """What is stored of a token. Tokens are random, so a plain hash keeps them secret."""
    return hashlib.sha256(token.encode()).hexdigest()


RefusalCode = Literal["lease-lost", "result-conflict", "too-many-replicates"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A result that could not be the trial's, why, and whether its scores were kept beside."""

    code: RefusalCode
    why: str


# --- taking a trial ---------------------------------------------------------------------------


def seen(session: Session, worker: str, capabilities: dict[str, Any]) -> None:
    """Notes that a worker asks for work, and what it can do.

    Of several calls of one worker, the others wait here for the end of the first: a call that is
    sent again while it is still under way must not get a second trial.
    """
    row = {"who": worker, "can": capabilities}
    if session.execute(_SEEN, row).one_or_none() is not None:
        return
    try:
        with session.begin_nested():
            session.execute(insert(WORKERS), {"name": worker, "capabilities": capabilities})
    except IntegrityError:  # the other call was its first
        session.execute(_SEEN, row)


def resume(session: Session, worker: str, study: str | None, token: str) -> Attempt | None:
    """The worker's own lease again, under a new token, when the answer that gave it was lost.

    Lost means that its token was never used. The lease is not made longer, so a worker that dies
    every time before its first heartbeat still uses up its attempts. A lease that was used is left
    alone: who beats it has it, and not whoever calls under the same name.
    """
    held = session.execute(_HELD_BY, {"who": worker}).all()
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


# --- calls of the holder ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pulse:
    """Answer to a heartbeat: how long the lease lasts, whether the trial was called off, and what
    its run is to do at the next evaluation point, with why."""

    until: datetime
    duration_s: float
    is_cancelled: bool
    action: Literal["continue", "pause", "stop"] = "continue"
    reason: str = ""


def heartbeat(
    session: Session,
    trial_id: int,
    token: str,
    *,
    step: int | None = None,
    total_steps: int | None = None,
    metrics: dict[str, float] | None = None,
    points: Sequence[Point] = (),
) -> Pulse:
    """Extends the lease and notes progress.

    `metrics` at a `step`, and `points`, become part of the trial's learning curve.

    Raises:
        LeaseLost: the token is not that of the trial's lease.
        TrialNotFound: there is none of this id.
    """
    trial, attempt = _find(session, trial_id, token)
    if attempt is not None and attempt.state == "cancelled":
        until = session.execute(select(after(attempt.lease_s))).scalar_one()
        return Pulse(until, attempt.lease_s, True, "stop", f"the trial is {trial.state}")
    attempt = _held(session, trial, attempt)
    latest = [] if step is None else [Point(step, metrics or {})]
    curves.keep(session, trial, [*latest, *points])
    until = session.execute(
        _BEAT,
        {
            "of_attempt": attempt.id,
            "at_step": attempt.step if step is None else step,
            "of_steps": attempt.total_steps if total_steps is None else total_steps,
            "with_metrics": _latest(attempt.metrics, metrics or {}),
        },
    ).scalar_one()
    events.changed(
        session, trial.study_id, actor=f"worker {attempt.worker}", what=None, trial=trial
    )
    session.flush()
    action: Literal["continue", "pause", "stop"] = "continue"
    if trial.asked is not None:
        action = "stop" if trial.asked == "stop" else "pause"
    return Pulse(until, attempt.lease_s, False, action, trial.asked_why or "")


def measure(session: Session, trial_id: int, token: str, readings: Sequence[Reading]) -> None:
    """Stores scores of a checkpoint on the way. The trial is loaded as by `trials.get`.

    Raises:
        LeaseLost: the token is not that of the trial's lease.
        TooManyScores: there are so many that there must be an end.
        TrialNotFound: there is none of this id.
    """
    trial, attempt = _find(session, trial_id, token)
    attempt = _held(session, trial, attempt)
    _measured(session, trial, attempt, readings)


def _measured(
    session: Session, trial: Trial, attempt: Attempt, readings: Sequence[Reading]
) -> None:
    trials.fill(trial, attempt, measurements.keep_on_the_way(session, trial, readings))
    attempt.heard_at = now()
    events.changed(
        session,
        trial.study_id,
        actor=f"worker {attempt.worker}",
        what="measured",
        trial=trial,
        benchmarks=sorted({reading.benchmark for reading in readings}),
    )
    session.flush()


def finish(
    session: Session,
    trial_id: int,
    token: str,
    readings: Sequence[Reading],
    *,
    artifacts: dict[str, Any] | None = None,
    wall_s: float | None = None,
) -> Refusal | None:
    """Completes a trial. The same result again changes nothing; any other is kept as a replicate.

    A refusal is returned, not raised, since the caller must commit the replicate. Without one the
    trial is loaded as by `trials.get`.

    Raises:
        TrialNotFound: there is none of this id.
    """
    trial, attempt = _find(session, trial_id, token)
    digest = measurements.digest(readings, artifacts, wall_s)
    if attempt is not None and attempt.state == "completed" and attempt.result_hash == digest:
        trials.get(session, trial_id)
        return None
    try:
        attempt = _held(session, trial, attempt)
    except LeaseLost as lost:
        return _keep_beside(session, trial, attempt, readings, digest, lost)
    trials.fill(trial, attempt, measurements.close(session, trial, readings))
    attempt.result_hash, attempt.heard_at = digest, now()
    states.end(session, attempt, "completed")
    trial.artifacts, trial.wall_s, trial.error = artifacts or {}, wall_s, None
    states.move(
        session,
        trial,
        "completed",
        actor=f"worker {attempt.worker}",
        what="completed",
        is_result=True,
    )
    study = session.get_one(Study, trial.study_id)
    if study.gpu_hours is not None:  # a run that cost more than others leaves room for fewer
        trials.withdraw_surplus(session, study)
    return None


def finish_in_part(
    session: Session, trial_id: int, token: str, readings: Sequence[Reading]
) -> Refusal | None:
    """Keeps what there is of a result that lacks some benchmarks; the trial runs on. The lease is
    still to be ended, by the rest or by a failure.

    Returns:
        None where the scores are the trial's own now, else where they were kept.

    Raises:
        TooManyScores: there are so many that there must be an end.
        TrialNotFound: there is none of this id.
    """
    trial, attempt = _find(session, trial_id, token)
    try:
        attempt = _held(session, trial, attempt)
    except LeaseLost as lost:
        digest = measurements.digest(readings, None, None)
        return _keep_beside(session, trial, attempt, readings, digest, lost)
    _measured(session, trial, attempt, readings)
    return None


def leave(
    session: Session, trial_id: int, token: str, step: int, readings: Sequence[Reading]
) -> None:
    """Ends the lease at a step that the run can be gone on with from, with the scores it has there;
    nothing is counted against the trial. It is paused, or stopped early where that was asked for.
    Twice is once. The trial is loaded as by `trials.get`.

    Raises:
        LeaseLost: the token is not that of the trial's lease.
        TooManyScores: there are so many that there must be an end.
        TrialNotFound: there is none of this id.
    """
    trial, attempt = _find(session, trial_id, token)
    if attempt is not None and attempt.state == "paused":
        trials.get(session, trial_id)
        return
    attempt = _held(session, trial, attempt)
    trials.fill(trial, attempt, measurements.keep_on_the_way(session, trial, readings))
    attempt.step, attempt.heard_at = step, now()
    states.end(session, attempt, "paused")
    trial.error, trial.releases = None, 0
    if attempt.total_steps and not trial.by_hand:
        trial.share = min(1.0, max(step, 1) / attempt.total_steps)
    actor, why = f"worker {attempt.worker}", trial.asked_why
    more: dict[str, Any] = {"step": step} | ({} if why is None else {"why": why})
    if trial.asked == "stop":
        states.stop(session, trial, actor, **more)
    else:
        states.move(session, trial, "paused", actor=actor, what="paused", **more)
        trials.note_new_scores(session, trial.study_id)
    session.flush()


def _keep_beside(
    session: Session,
    trial: Trial,
    attempt: Attempt | None,
    readings: Sequence[Reading],
    digest: str,
    lost: LeaseLost,
) -> Refusal:
    """Keeps scores that the trial's state does not take as a replicate, once."""
    kept = measurements.keep_replicate(session, trial, readings, digest)
    if kept == "new":
        events.changed(
            session,
            trial.study_id,
            actor="worker" if attempt is None else f"worker {attempt.worker}",
            what="replicate",
            trial=trial,
            why=str(lost),
        )
    session.flush()
    own = attempt is not None and attempt.state == "completed"
    why = f"{trial.called} was completed with another result" if own else str(lost)
    if kept == "full":
        return Refusal(
            "too-many-replicates",
            f"{why}; it has too many replicates to keep these scores too",
        )
    code: RefusalCode = "result-conflict" if own else "lease-lost"
    return Refusal(code, f"{why}; these scores were kept as a replicate")


def fail(session: Session, trial_id: int, token: str, error: str, *, is_retryable: bool) -> None:
    """Ends an attempt that did not work; the trial is queued again while attempts are left.

    Raises:
        LeaseLost: the token is not that of the trial's lease.
        TrialNotFound: there is none of this id.
    """
    trial, attempt = _find(session, trial_id, token)
    if attempt is not None and attempt.state in ("failed", "cancelled"):
        return
    attempt = _held(session, trial, attempt)
    attempt.error, attempt.heard_at = error, now()
    states.end(session, attempt, "failed")
    trial.error, trial.releases = error, 0
    queue.keep_from_who_failed(session, trial, attempt)
    states.count_against(
        session, trial, actor=f"worker {attempt.worker}", what="failed", is_final=not is_retryable
    )


def release(
    session: Session, trial_id: int, token: str, reason: str = "", *, is_unfit: bool = False
) -> None:
    """Hands a trial back with nothing counted against it: shutdown, preemption. One that comes back
    again and again rests before it is given away once more.

    Args:
        is_unfit: the worker cannot run it where it is (no data, no GPU, no room); another is asked
            first, and the trial says why.

    Raises:
        LeaseLost: the token is not that of the trial's lease.
        TrialNotFound: there is none of this id.
    """
    trial, attempt = _find(session, trial_id, token)
    if attempt is not None and attempt.state in ("released", "cancelled"):
        return
    attempt = _held(session, trial, attempt)
    attempt.heard_at = now()
    if is_unfit:
        attempt.error = trial.error = reason
    queue.hand_back(session, trial, attempt, is_unfit=is_unfit)
    states.end(session, attempt, "released")
    states.move(
        session, trial, "queued", actor=f"worker {attempt.worker}", what="released", reason=reason
    )


def gone(session: Session, worker: str, actor: str) -> list[int]:
    """Ends what a worker holds whose machine is known to be dead, with nothing counted against its
    trials; returns their ids. Should it live after all, it hears that its lease is lost. Twice is
    once.
    """
    held = session.execute(_LIVE_OF, {"who": worker}).tuples().all()
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


# --- the reaper -------------------------------------------------------------------------------


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
            Attempt.state == "live",
            Attempt.until < now(),
            after(Attempt.lease_s, watched_since) < now(),
        )
        .order_by(Attempt.trial_id)
        .limit(limit)
    ).all()


def bound(session: Session) -> None:
    """Lets no lease last longer than its period from now, as one would after the clock was set
    back."""
    session.execute(
        update(ATTEMPTS)
        .where(
            ATTEMPTS.c.state == "live", ATTEMPTS.c.until > after(ATTEMPTS.c.lease_s + SET_BACK_S)
        )
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
            .where(Attempt.id == attempt_id, Attempt.state == "live", Attempt.until < now())
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


# --- inside -----------------------------------------------------------------------------------


def _find(session: Session, trial_id: int, token: str) -> tuple[Trial, Attempt | None]:
    """The locked trial, and the attempt of it that has this token."""
    trial = trials.lock(session, trial_id)
    hashed = token_hash(token)  # hashes may be compared by the database: none tells of its token
    attempt = session.scalar(_ATTEMPT_UNDER, {"of_trial": trial_id, "hashed": hashed})
    return trial, attempt


def _held(session: Session, trial: Trial, attempt: Attempt | None) -> Attempt:
    """The attempt, if it still has the right to its trial; an expired one gets it back.

    Raises:
        LeaseLost: it has not.
    """
    if attempt is None:
        raise LeaseLost(
            f"this token holds no lease of {trial.called} ({trial.state}); "
            "stop the run and ask for the next trial"
        )
    if attempt.state == "live" or states.revive(session, trial, attempt):
        return attempt
    raise LeaseLost(
        f"the lease of {trial.called} under this token is {attempt.state} and the trial "
        f"{trial.state}; stop the run and ask for the next trial"
    )


def _latest(known: dict[str, float], sent: dict[str, float]) -> dict[str, float]:
    """What is known now of each metric; of too many, those sent last."""
    both = {**sent, **{name: known[name] for name in known if name not in sent}}
    return dict(itertools.islice(both.items(), MAX_METRICS))
