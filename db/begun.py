"""Training runs that were begun and have no last score, as the search looks at them."""

from __future__ import annotations

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from db.models import Measurement, Study, Trial


def stopping_studies(session: Session) -> list[tuple[str, int, bool]]:
    """Names and ids of active studies whose search may end runs early, or has paused some, and
    whether it may."""
    stands = (
        select(Trial.id)
        .where(Trial.study_id == Study.id, Trial.state == "paused", Trial.by_hand.is_(False))
        .exists()
    )
    rows = session.execute(
        select(Study.name, Study.id, Study.early_stopping)
        .where(Study.state == "active", or_(Study.early_stopping, stands))
        .order_by(Study.id)
    )
    return list(rows)


def standing(session: Session, study: Study) -> list[int]:
    """Ids of the paused trials that the search may continue."""
    return list(
        session.scalars(
            select(Trial.id)
            .where(Trial.study_id == study.id, Trial.state == "paused", Trial.by_hand.is_(False))
            .order_by(Trial.id)
        )
    )


def newest_scores(session: Session, study_id: int) -> tuple[tuple[int, int], ...]:
    """Running training runs of a study that were scored on their way, by id, with the last step."""
    rows = session.execute(
        select(Trial.id, func.max(Measurement.step))
        .join(Measurement, Measurement.trial_id == Trial.id)
        .where(
            Trial.study_id == study_id,
            Trial.state == "running",
            Trial.channel == "full",
            Trial.by_hand.is_(False),
            Measurement.replicate == "",
        )
        .group_by(Trial.id)
        .order_by(Trial.id)
    )
    return tuple(rows)


def running(session: Session, study: Study) -> list[int]:
    """Ids of the training runs that a worker has now."""
    return list(
        session.scalars(
            select(Trial.id)
            .where(Trial.study_id == study.id, Trial.state == "running", Trial.channel == "full")
            .order_by(Trial.id)
        )
    )
