"""Fits that are kept with their study: one of a kind, the newest."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.clock import now
from db.models import Fit, Study, Version


def newest(session: Session, study_id: int, kind: str) -> Fit | None:
    """The newest fit of a kind that was made of a study."""
    return session.get(Fit, (study_id, kind))


def keep(
    session: Session, of: Version, kind: str, *, mark: str, took_s: float, document: str
) -> Fit | None:
    """Keeps a fit in place of an earlier one; None where a newer one is kept, or the study is gone.

    Args:
        of: the study's version that it was made of.
    """
    # Locked, as by `studies.delete`: nothing is kept of a study that is being deleted. An id may be
    # given again, to a study that was made at another time.
    there = select(Study.created_at).where(Study.id == of.study_id)
    if session.scalar(there.with_for_update(key_share=True)) != of.created_at:
        return None
    fit = newest(session, of.study_id, kind)
    if fit is None:
        fit = Fit(study_id=of.study_id, kind=kind)
        session.add(fit)
    elif (fit.edits, fit.results) > (of.edits, of.results):
        return None
    fit.mark, fit.took_s, fit.document = mark, took_s, document
    fit.results, fit.edits, fit.made_at = of.results, of.edits, now()
    session.flush()
    session.refresh(fit)
    return fit
