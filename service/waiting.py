"""Why there is no trial to give, in words, and when to ask again."""

from __future__ import annotations

from sqlalchemy.orm import Session

from db import models, proposing, studies


def why(session: Session, name: str | None) -> tuple[str, float | None]:
    """Why there is no trial to give, and after how many seconds to ask again (None: no more)."""
    found = [studies.get(session, name)] if name is not None else studies.everyone(session)
    if not found:
        return "there is no study yet", 10.0
    reasons = [_of_study(session, study) for study in found]
    return min(reasons, key=lambda item: (item[1] is None, item[1] or 0.0))


def _of_study(session: Session, study: models.Study) -> tuple[str, float | None]:
    where = f"study {study.name!r}"
    if study.state == "finished":
        return f"{where} is finished", None
    if study.state == "paused":
        return f"{where} is paused", 30.0
    now = proposing.standing(session, study)
    if now.queued:
        return f"{where}: others were quicker", 0.5
    if now.is_stuck:
        return (
            f"{where}: the last {now.failing} trials failed, so no more are proposed; see their "
            "errors, then retry one or pause and resume the study",
            30.0,
        )
    if now.room == 0:
        if now.running:
            return f"{where}: the last {now.running} of its {now.budget} trials are running", 5.0
        return f"{where}: all {now.budget} trials of its budget are done", None
    if now.error is not None:
        return f"{where}: {now.error}; tried again soon", 5.0
    return f"{where}: proposals are being made", 1.0
