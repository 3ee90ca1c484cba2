"""The state machine of a trial: the one place where states change.

What each state means, and what may follow:

    queued         waits for a worker.
                   claim -> running; cancel -> cancelled
    running        one live attempt holds it, until its lease ends.
                   finish -> completed; fail, expire -> queued or failed; release -> queued (who
                   gets it next, and when, is said in `queue.py`);
                   cancel -> cancelled; stop early -> early_stopped;
                   come to its step -> paused, or early_stopped where someone asked for that
    paused         its run stands at a step, with a checkpoint to go on from; no worker holds it.
                   continue -> queued; cancel -> cancelled; stop -> early_stopped
    completed      its result is stored. Nothing follows: a further result is a replicate.
    failed         as many attempts as allowed failed or expired, or one failed for good.
                   retry -> queued; a sign of life from its expired holder -> running
    cancelled      someone called it off; its worker hears so at the next heartbeat.
                   retry -> queued
    early_stopped  someone ended it before its last step; what was scored until then stays, and is
                   never taken for the scores of a whole run. Nothing follows: a result that comes
                   still is a replicate.

An attempt is `live` and then, once, one of completed, failed, expired, released, cancelled, paused
(it came to the step where it was to end); failed and expired ones count against the study's
`max_attempts`. Only an expired one may become live again, while no other worker has taken its
trial.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import case, select, update
from sqlalchemy.orm import Session

from db import cost, events
from db.clock import after, now
from db.errors import WrongState
from db.models import Attempt, Study, Trial
from db.queue import FAILURES_IN_A_ROW
from db.trial_states import ENDED as ENDED
from db.trial_states import RESULTS as RESULTS
from db.trial_states import UNDER_WAY as UNDER_WAY

FOLLOWS: dict[str, frozenset[str]] = {
    "queued": frozenset({"running", "cancelled"}),
    "running": frozenset({"completed", "queued", "failed", "cancelled", "early_stopped", "paused"}),
    "paused": frozenset({"queued", "cancelled", "early_stopped"}),
    "completed": frozenset(),
    "failed": frozenset({"queued", "running"}),
    "cancelled": frozenset({"queued"}),
    "early_stopped": frozenset(),
}
"""The states that may follow each state."""


def end(session: Session, attempt: Attempt, state: str, at: datetime | None = None) -> None:
    """Ends a live attempt, now or as of then."""
    attempt.state, attempt.ended_at = state, now() if at is None else at
    # Now, not with the trial's next change: the index allows one live attempt a trial.
    session.flush()
    cost.count(session, attempt)


def expire(session: Session, trial: Trial, attempt: Attempt, why: str) -> None:
    """Takes a locked trial away from its live attempt, which counts."""
    end(session, attempt, "expired")
    trial.error = f"lost its worker {attempt.worker}: {why}"
    count_against(session, trial, actor="service", what="expired", is_final=False)


def revive(session: Session, trial: Trial, attempt: Attempt) -> bool:
    """Gives a locked trial back to its expired attempt; False when someone else was given it."""
    is_newest = attempt.number == trial.attempt_number
    if attempt.state != "expired" or not is_newest or trial.state not in ("queued", "failed"):
        return False
    cost.count(session, attempt, -1)
    attempt.state, attempt.ended_at = "live", None
    attempt.until = after(attempt.lease_s)
    trial.failures = max(0, trial.failures - 1)  # 0 already after a retry
    trial.error = None
    move(session, trial, "running", actor=f"worker {attempt.worker}", what="revived")
    return True


def stop(session: Session, trial: Trial, actor: str, **detail: Any) -> None:
    """Ends a locked trial for good before its last step: its scores until then are a result."""
    move(
        session,
        trial,
        "early_stopped",
        actor=actor,
        what="early-stopped",
        is_result=True,
        **detail,
    )


def count_against(session: Session, trial: Trial, *, actor: str, what: str, is_final: bool) -> None:
    """Counts an ended attempt: the trial is queued again, or failed when that was its last."""
    trial.failures += 1
    allowed = session.execute(
        select(Study.max_attempts).where(Study.id == trial.study_id)
    ).scalar_one()
    is_over = is_final or trial.failures >= allowed
    move(session, trial, "failed" if is_over else "queued", actor=actor, what=what)


def move(
    session: Session,
    trial: Trial,
    state: str,
    *,
    actor: str,
    what: str,
    is_result: bool = False,
    **detail: Any,
) -> datetime:
    """Changes a locked trial's state, with its event; says when, by the database's clock.

    Raises:
        WrongState: that state does not follow.
    """
    if state not in FOLLOWS[trial.state]:
        raise WrongState(f"{trial.called} is {trial.state} and cannot become {state}")
    if trial.state == "failed":
        _allow_one_more_failure(session, trial.study_id)
    trial.state = state
    if state == "paused" or state in ENDED:
        trial.asked = trial.asked_why = None
    if trial.error is not None and what in ("failed", "expired"):
        detail["error"] = trial.error
    at = events.changed(
        session,
        trial.study_id,
        actor=actor,
        what=what,
        trial=trial,
        is_result=is_result,
        is_failure=state == "failed",
        state=state,
        **detail,
    )
    trial.finished_at = at if state in ENDED else None
    return at


def _allow_one_more_failure(session: Session, study_id: int) -> None:
    """A trial that had failed for good is tried once more: one failure more stops the study again,
    and none less."""
    counted = case((Study.failing > FAILURES_IN_A_ROW, FAILURES_IN_A_ROW), else_=Study.failing)
    session.execute(
        update(Study)
        .where(Study.id == study_id, Study.failing > 0)
        .values(failing=counted - 1)
        .execution_options(synchronize_session=False)
    )
