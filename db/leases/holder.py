"""Calls of the holder: keep the trial, say what its run has come to, give it back."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, bindparam, func, select, update
from sqlalchemy.orm import Session

from db import curves, events, measurements, proposals, queue, states, trials
from db.clock import after, now
from db.curves import Point
from db.errors import LeaseLost, WrongState
from db.leases import tokens
from db.measurements import Reading
from db.models import LIVE, Attempt, Base, Trial
from db.prepared import Prepared

MAX_METRICS = 500
"""Names of metrics of one attempt; more are forgotten."""

TRIALS, ATTEMPTS = (Base.metadata.tables[name] for name in ("trials", "attempts"))

# Built once: building one takes longer than running it.
_HELD = (
    select(
        TRIALS.c.study_id,
        TRIALS.c.attempt_number,
        TRIALS.c.asked,
        TRIALS.c.asked_why,
        ATTEMPTS.c.id.label("attempt_id"),
    )
    .join_from(TRIALS, ATTEMPTS, ATTEMPTS.c.trial_id == TRIALS.c.id)
    .where(
        TRIALS.c.id == bindparam("of_trial"),
        ATTEMPTS.c.token_hash == bindparam("hashed"),
        ATTEMPTS.c.state == LIVE,
    )
    .with_for_update(of=TRIALS)
)
_HELD_ALONE = Prepared(_HELD)
_METRICS = Prepared(select(ATTEMPTS.c.metrics).where(ATTEMPTS.c.id == bindparam("of_attempt")))
# What was read of the attempt may be older than the lock of its trial, which was waited for: so
# that it is live is asked again.
_BEAT_OF_ANY = (
    update(ATTEMPTS)
    .where(ATTEMPTS.c.state == LIVE)
    .values(
        step=func.coalesce(bindparam("at_step"), ATTEMPTS.c.step),
        total_steps=func.coalesce(bindparam("of_steps"), ATTEMPTS.c.total_steps),
        until=after(ATTEMPTS.c.lease_s),
        heard_at=now(),
    )
    .returning(ATTEMPTS.c.until, ATTEMPTS.c.lease_s)
)
_BEAT_OF_ONE = _BEAT_OF_ANY.where(ATTEMPTS.c.id == bindparam("of_attempt"))
_BEAT = Prepared(_BEAT_OF_ONE)
_BEAT_WITH_METRICS = Prepared(_BEAT_OF_ONE.values(metrics=bindparam("with_metrics")))
_BEATEN = events.TrialChange(None)


def _all_at_once() -> Select[Any]:
    """A heartbeat that brings no metrics, whole, as one statement of PostgreSQL."""
    held = _HELD.cte("held")
    mine, study, asked, why = (
        select(held.c[name]).scalar_subquery()
        for name in ("attempt_id", "study_id", "asked", "asked_why")
    )
    beat = _BEAT_OF_ANY.where(ATTEMPTS.c.id == mine)
    beat = beat.returning(asked.label("asked"), why.label("asked_why"))
    return _BEATEN.at_once(of_study=study, after=beat.cte("beat"))


_BEATEN_AT_ONCE = Prepared(_all_at_once())


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
    latest = [] if step is None else [Point(step, metrics or {})]
    progress = _Progress(step, total_steps, metrics or {}, [*latest, *points])
    pulse = _beat(session, trial_id, token, progress)
    if pulse is not None:
        return pulse
    trial, attempt = tokens.find(session, trial_id, token)
    if attempt is not None and attempt.state == "cancelled":
        until = session.execute(select(after(attempt.lease_s))).scalar_one()
        return Pulse(until, attempt.lease_s, True, "stop", f"the trial is {trial.state}")
    tokens.held(session, trial, attempt)
    session.flush()
    pulse = _beat(session, trial_id, token, progress)
    if pulse is None:
        raise LeaseLost(f"{trial.called} is {trial.state}; ask for the next trial")
    return pulse


@dataclass(frozen=True, slots=True)
class _Progress:
    """What a heartbeat says of the run."""

    step: int | None
    total_steps: int | None
    metrics: dict[str, float]
    points: Sequence[Point]

    @property
    def brings_metrics(self) -> bool:
        return bool(self.metrics) or any(point.metrics for point in self.points)


def _beat(session: Session, trial_id: int, token: str, progress: _Progress) -> Pulse | None:
    """A heartbeat of a live lease; None, and nothing done, where the token is of none."""
    asked = {"of_trial": trial_id, "hashed": tokens.token_hash(token)}
    beat: dict[str, Any] = {"at_step": progress.step, "of_steps": progress.total_steps}
    if not progress.brings_metrics and events.takes_all_at_once(session):
        at_once = asked | beat | _BEATEN.bound(0, trial_id)
        beaten = _BEATEN_AT_ONCE.whole(session, at_once)
        return None if beaten is None else _pulse(beaten, beaten)
    held = _HELD_ALONE.one_or_none(session, asked)
    if held is None:
        return None
    own = {"of_attempt": held.attempt_id}
    if progress.metrics:
        (known,) = _METRICS.one(session, own)
        beat["with_metrics"] = _latest(known, progress.metrics)
    beating = _BEAT_WITH_METRICS if progress.metrics else _BEAT
    beaten = beating.one_or_none(session, own | beat)
    if beaten is None:
        return None
    curves.keep(session, trial_id, held.attempt_number, progress.points)
    _BEATEN.make(session, held.study_id, trial_id)
    return _pulse(beaten, held)


def _pulse(beaten: Any, held: Any) -> Pulse:
    """What a heartbeat is answered.

    Args:
        beaten: what the lease is now.
        held: what was asked of the trial.
    """
    action: Literal["continue", "pause", "stop"] = "continue"
    if held.asked is not None:
        action = "stop" if held.asked == "stop" else "pause"
    return Pulse(beaten.until, beaten.lease_s, False, action, held.asked_why or "")


def measure(session: Session, trial_id: int, token: str, readings: Sequence[Reading]) -> None:
    """Stores scores of a checkpoint on the way. The trial is loaded as by `trials.get`.

    Raises:
        LeaseLost: the token is not that of the trial's lease.
        TooManyScores: there are so many that there must be an end.
        TrialNotFound: there is none of this id.
    """
    trial, attempt = tokens.find(session, trial_id, token)
    attempt = tokens.held(session, trial, attempt)
    keep_scores(session, trial, attempt, readings)


def keep_scores(
    session: Session, trial: Trial, attempt: Attempt, readings: Sequence[Reading]
) -> None:
    """Stores scores of a locked trial that runs on, with their event."""
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
        WrongState: it is not trained at all.
    """
    trial, attempt = tokens.find(session, trial_id, token)
    if attempt is not None and attempt.state == "paused":
        trials.get(session, trial_id)
        return
    attempt = tokens.held(session, trial, attempt)
    if trial.channel != "full":
        raise WrongState(
            f"{trial.called} is of channel {trial.channel}: it trains nothing that could end at a "
            "step; send its result, or release it"
        )
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
        proposals.note_new_scores(session, trial.study_id)
    session.flush()


def fail(session: Session, trial_id: int, token: str, error: str, *, is_retryable: bool) -> None:
    """Ends an attempt that did not work; the trial is queued again while attempts are left.

    Raises:
        LeaseLost: the token is not that of the trial's lease.
        TrialNotFound: there is none of this id.
    """
    trial, attempt = tokens.find(session, trial_id, token)
    if attempt is not None and attempt.state in ("failed", "cancelled"):
        return
    attempt = tokens.held(session, trial, attempt)
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
    trial, attempt = tokens.find(session, trial_id, token)
    if attempt is not None and attempt.state in ("released", "cancelled"):
        return
    attempt = tokens.held(session, trial, attempt)
    attempt.heard_at = now()
    if is_unfit:
        attempt.error = trial.error = reason
    queue.hand_back(session, trial, attempt, is_unfit=is_unfit)
    states.end(session, attempt, "released")
    states.move(
        session, trial, "queued", actor=f"worker {attempt.worker}", what="released", reason=reason
    )


def _latest(known: dict[str, float], sent: dict[str, float]) -> dict[str, float]:
    """What is known now of each metric; of too many, those sent last."""
    both = {**sent, **{name: known[name] for name in known if name not in sent}}
    return dict(itertools.islice(both.items(), MAX_METRICS))
