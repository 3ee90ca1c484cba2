"""Who may speak of a trial: the attempt that a token is of, if it still has the right to it."""

from __future__ import annotations

import hashlib

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from db import states, trials
from db.errors import LeaseLost
from db.models import Attempt, Trial

_ATTEMPT_UNDER = (
    select(Attempt)
    .where(Attempt.trial_id == bindparam("of_trial"), Attempt.token_hash == bindparam("hashed"))
    .execution_options(populate_existing=True)
)


def token_hash(token: str) -> str:
    """What is stored of a token. Tokens are random, so a plain hash keeps them secret."""
    return hashlib.sha256(token.encode()).hexdigest()


def find(session: Session, trial_id: int, token: str) -> tuple[Trial, Attempt | None]:
    """The locked trial, and the attempt of it that has this token."""
    trial = trials.lock(session, trial_id)
    hashed = token_hash(token)  # hashes may be compared by the database: none tells of its token
    attempt = session.scalar(_ATTEMPT_UNDER, {"of_trial": trial_id, "hashed": hashed})
    return trial, attempt


def was_given(session: Session, trial_id: int, token: str) -> bool:
    """Whether the token is, or was, that of a lease of the trial."""
    asked = {"of_trial": trial_id, "hashed": token_hash(token)}
    return session.scalar(_ATTEMPT_UNDER, asked) is not None


def held(session: Session, trial: Trial, attempt: Attempt | None) -> Attempt:
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
