"""What people and the search have a trial do: end, pause, go on, be queued again."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import events, queue, states, trials
from db.errors import WrongState
from db.models import Attempt, Trial


def stop_early(session: Session, trial_id: int, actor: str) -> None:
    """Ends a running trial for good, with the scores it has. Its worker hears so at the next
    heartbeat. Twice is once.

    Raises:
        TrialNotFound: there is none of this id.
        WrongState: it is not running.
    """
    trial = trials.lock(session, trial_id)
    if trial.state == "early_stopped":
        return
    if trial.state != "running":
        raise WrongState(f"{trial.called} is {trial.state}; only running ones are stopped early")
    _end_lease(session, trial)
    states.stop(session, trial, actor)


def _end_lease(session: Session, trial: Trial) -> None:
    attempt = session.scalar(
        select(Attempt).where(Attempt.trial_id == trial.id, Attempt.state == "live")
    )
    if attempt is not None:
        states.end(session, attempt, "cancelled")


def cancel(session: Session, trial_id: int, actor: str) -> None:
    """Calls a trial off. Its worker hears so at the next heartbeat. Twice is once.

    Raises:
        TrialNotFound: there is none of this id.
        WrongState: the trial has ended otherwise.
    """
    trial = trials.lock(session, trial_id)
    if trial.state == "cancelled":
        return
    if trial.state in states.ENDED:
        raise WrongState(
            f"{trial.called} is {trial.state}; only queued, running and paused ones are cancelled"
        )
    _end_lease(session, trial)
    states.move(session, trial, "cancelled", actor=actor, what="cancelled")


def retry(session: Session, trial_id: int, actor: str) -> None:
    """Queues a failed or cancelled trial again, with all its attempts. Twice is once.

    Raises:
        TrialNotFound: there is none of this id.
        WrongState: the trial is completed, or paused.
    """
    trial = trials.lock(session, trial_id)
    if trial.state in ("queued", "running"):
        return
    if trial.state == "paused":
        raise WrongState(f"{trial.called} is paused, and did not fail; continue it instead")
    if "queued" not in states.FOLLOWS[trial.state]:
        raise WrongState(
            f"{trial.called} is {trial.state}; only failed and cancelled ones are retried "
            "(queue its mixture as a new trial to run it again)"
        )
    trial.failures, trial.error, trial.is_withdrawn, trial.releases = 0, None, False, 0
    queue.wake(trial)
    states.move(session, trial, "queued", actor=actor, what="retried")


Ask = Literal["pause", "stop"]


def ask(
    session: Session, trial_id: int, action: Ask, actor: str, why: str, *, by_hand: bool = True
) -> None:
    """Has a running trial pause, or end for good, at its next evaluation point: its worker hears so
    at the next heartbeat. A paused one is stopped at once. Twice is once.

    Args:
        by_hand: a person asks, so that the search leaves the trial alone from now on.

    Raises:
        TrialNotFound: there is none of this id.
        WrongState: it is not running, is to be stopped and cannot be paused any more, or is not
            trained at all.
    """
    trial = trials.lock(session, trial_id)
    if trial.channel != "full" and trial.state == "running":
        raise WrongState(
            f"{trial.called} is of channel {trial.channel}: it trains nothing that could {action} "
            "at a step; cancel it, or let it end"
        )
    if trial.state == {"pause": "paused", "stop": "early_stopped"}[action]:
        return
    if action == "stop" and trial.state == "paused":
        states.stop(session, trial, actor, **({} if by_hand else {"why": why}))
        return
    if trial.state != "running":
        can = "running ones are paused" if action == "pause" else "running and paused ones stop"
        raise WrongState(f"{trial.called} is {trial.state}; only {can}")
    if trial.asked == "stop" and action == "pause":
        raise WrongState(f"{trial.called} is about to be stopped for good; it cannot be paused")
    if trial.asked == action and trial.by_hand >= by_hand:
        return
    trial.asked, trial.asked_why, trial.by_hand = action, why, trial.by_hand or by_hand
    events.changed(
        session, trial.study_id, actor=actor, what=f"{action}-asked", trial=trial, why=why
    )
    session.flush()


def goes_on(session: Session, trial: Trial, why: str) -> None:
    """Notes why a locked running trial is not to pause, for its worker to hear."""
    if trial.asked is None and trial.asked_why != why:
        trial.asked_why = why
        events.changed(session, trial.study_id, actor="search", what=None, trial=trial)


def go_on(
    session: Session,
    trial_id: int,
    actor: str,
    stop_at: int | None = None,
    *,
    why: str | None = None,
    share: float = 1.0,
) -> None:
    """Queues a paused trial again: whoever takes it goes on from its checkpoint. Twice is once.

    Args:
        stop_at: step at which it pauses again; None trains the rest.
        why: the search's reason, where it is not a person who wants it.
        share: what the budget counts it as until then.

    Raises:
        TrialNotFound: there is none of this id.
        WrongState: it is not paused, or stands at that step already.
    """
    trial = trials.lock(session, trial_id)
    if trial.state in ("queued", "running") and trial.attempt_number and trial.stop_at == stop_at:
        return
    if trial.state != "paused":
        raise WrongState(f"{trial.called} is {trial.state}; only paused ones are continued")
    at = session.scalar(
        select(Attempt.step).where(
            Attempt.trial_id == trial.id, Attempt.number == trial.attempt_number
        )
    )
    if stop_at is not None and at is not None and stop_at <= at:
        raise WrongState(
            f"{trial.called} is paused at step {at}; a later one than {stop_at} is needed to go on"
        )
    trial.stop_at, trial.releases, trial.share = stop_at, 0, share
    trial.by_hand = trial.by_hand or why is None
    queue.wake(trial)
    more: dict[str, Any] = {} if stop_at is None else {"stop_at": stop_at}
    more |= {} if why is None else {"why": why}
    states.move(session, trial, "queued", actor=actor, what="continued", **more)
