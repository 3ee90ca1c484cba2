"""Figures of all studies at once, for monitoring."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import Double, func, select, type_coerce
from sqlalchemy.orm import Session

from db.clock import now
from db.models import Attempt, Study, Trial, Version


@dataclass(frozen=True, slots=True)
class StudyFigures:
    """One study's.

    Attributes:
        trials: how many in each state that has any.
        live: leases held now.
        oldest_s: age of the oldest of them; 0 when there is none.
        silent_s: longest time since one of them was claimed or last heard of.
    """

    name: str
    version: Version
    is_failing: bool
    trials: dict[str, int]
    live: int
    oldest_s: float
    silent_s: float


def of_studies(session: Session) -> list[StudyFigures]:
    """Every study's figures, oldest study first; three statements however many there are."""
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    for study_id, state, count in session.execute(
        select(Trial.study_id, Trial.state, func.count()).group_by(Trial.study_id, Trial.state)
    ):
        counts[study_id][state] = count
    time = type_coerce(now(), Double)
    claimed, heard = (type_coerce(c, Double) for c in (Attempt.claimed_at, Attempt.heard_at))
    leases = {
        study_id: (live, max(0.0, oldest), max(0.0, silent))
        for study_id, live, oldest, silent in session.execute(
            select(
                Trial.study_id,
                func.count(),
                func.max(time - claimed),
                func.max(time - func.coalesce(heard, claimed)),
            )
            .join(Attempt, Attempt.trial_id == Trial.id)
            .where(Attempt.state == "live")
            .group_by(Trial.study_id)
        )
    }
    return [
        StudyFigures(
            study.name,
            study.version,
            study.proposer_error is not None,
            counts[study.id],
            *leases.get(study.id, (0, 0.0, 0.0)),
        )
        for study in session.scalars(select(Study).order_by(Study.id))
    ]
