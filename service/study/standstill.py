"""Why no trial of a study runs, in words for people."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import models, proposing
from db.models import Attempt, Trial
from service.proposing import proposer
from service.search.counts import counted

LONGEST_ERROR = 200
"""Characters of a trial's error that a message has."""


def why(session: Session, row: models.Study, counts: dict[str, int]) -> str | None:
    """Why nothing of a study runs now; None while something does.

    Args:
        counts: of the study's trials, as by `studies.trial_counts`.
    """
    if counts.get("running") and row.state == "active":
        return None
    queued = counts.get("queued", 0)
    if row.state == "active" and queued and not proposing.standings(session, [row])[0].is_stuck:
        what = f"{counted(queued, 'trial')} {'is' if queued == 1 else 'are'} queued"
        back = came_back(session, row.id)
        return f"study {row.name!r}: {what}, and no worker runs one" + (f"; {back}" if back else "")
    return proposer.waiting(session, row.name)[0]


def came_back(session: Session, study_id: int) -> str | None:
    """Which queued trials workers have failed or handed back, how often, and why the last time;
    None where there are none."""
    is_back = (Trial.study_id == study_id, Trial.state == "queued", Trial.error.is_not(None))
    found = session.execute(
        select(Trial.id, Trial.number, Trial.error)
        .where(*is_back)
        .order_by(Trial.revision.desc())
        .limit(1)
    ).one_or_none()
    if found is None:
        return None
    n = session.scalar(select(func.count()).select_from(Trial).where(*is_back)) or 1
    times = session.scalar(
        select(func.count())
        .select_from(Attempt)
        .where(Attempt.trial_id == found.id, Attempt.state.in_(("failed", "expired", "released")))
    )
    often = "once" if times == 1 else f"{times} times"
    who = f"trial {found.number} came back from its workers {often}"
    if n > 1:
        who = (
            f"{n} of them came back from their workers, trial {found.number} last ({often} so far)"
        )
    return f"{who}: {last_line(found.error)[:LONGEST_ERROR]}"


def last_line(text: str | None) -> str:
    """What a traceback ends with: its last line that is not blank."""
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return lines[-1] if lines else ""
