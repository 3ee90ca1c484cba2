"""Results: they complete a trial, or are kept beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.orm import Session

from db import events, measurements, proposals, states, trials
from db.clock import now
from db.errors import LeaseLost
from db.leases import common, tokens
from db.leases.holder import keep_scores
from db.measurements import Reading
from db.models import Attempt, Study, Trial

RefusalCode = Literal["lease-lost", "result-conflict", "too-many-replicates"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A result that could not be the trial's, why, and whether its scores were kept beside."""

    code: RefusalCode
    why: str


def finish(
    session: Session,
    trial_id: int,
    token: str,
    readings: Sequence[Reading],
    *,
    artifacts: dict[str, Any] | None = None,
    wall_s: float | None = None,
    run: common.Run | None = None,
) -> Refusal | None:
    """Completes a trial. The same result again changes nothing; any other is kept as a replicate.

    A refusal is returned, not raised, since the caller must commit the replicate. Without one the
    trial is as by `trials.get`: `run.trial`, if there is that, else the session's.

    Args:
        run: what `held` says of this token, where the caller has asked already.

    Raises:
        TrialNotFound: there is none of this id.
    """
    digest = measurements.digest(readings, artifacts, wall_s)
    run = run or common.held(session, trial_id, token)
    if run is not None and common.finish(session, run, readings, digest, artifacts or {}, wall_s):
        return None
    trial, attempt = tokens.find(session, trial_id, token)
    if attempt is not None and attempt.state == "completed" and attempt.result_hash == digest:
        trials.get(session, trial_id)
        return None
    try:
        attempt = tokens.held(session, trial, attempt)
    except LeaseLost as lost:
        return _keep_beside(session, trial, attempt, readings, digest, lost)
    trials.fill(trial, attempt, measurements.close(session, trial, readings))
    attempt.result_hash, attempt.heard_at = digest, now()
    states.end(session, attempt, "completed")
    trial.artifacts, trial.wall_s, trial.error = artifacts or {}, wall_s, None
    trial.share = 1.0  # also where its trainer knows of no step to pause at, and trained to its end
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
        proposals.withdraw_surplus(session, study)
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
    trial, attempt = tokens.find(session, trial_id, token)
    try:
        attempt = tokens.held(session, trial, attempt)
    except LeaseLost as lost:
        digest = measurements.digest(readings, None, None)
        return _keep_beside(session, trial, attempt, readings, digest, lost)
    keep_scores(session, trial, attempt, readings)
    return None


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
