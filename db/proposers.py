"""Which replica proposes for a study just now, and what came of it: a lease in the study's row."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from db import events, proposal_needs
from db.clock import after, now
from db.models import Study

LONGEST_REST_S = 300.0
"""Of a strategy that keeps failing."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """How the study's strategy failed when it was last asked, and whether it is left alone now."""

    error: str
    rests: bool


def trouble(session: Session, name: str) -> Trouble | None:
    """None when the strategy did well, or was not asked yet."""
    # An end of the rest that is further away comes of a clock that was set back.
    rests = Study.propose_again_at.between(now(), after(LONGEST_REST_S))
    error, is_resting = session.execute(
        select(Study.proposer_error, rests).where(Study.name == name)
    ).one()
    return None if error is None else Trouble(error, bool(is_resting))


def failing(session: Session) -> int:
    """Active studies whose strategy failed the last time it was asked."""
    return session.execute(
        select(func.count())
        .select_from(Study)
        .where(Study.state == "active", Study.proposer_error.is_not(None))
    ).scalar_one()


def take(session: Session, study_id: int, owner: str, lease_s: float) -> bool:
    """Makes `owner` the one that proposes for a study; False while another replica does."""
    taken = session.execute(
        update(Study)
        .where(
            Study.id == study_id,
            or_(
                Study.proposer.is_(None),
                Study.proposer == owner,
                Study.proposer_until < now(),
                Study.proposer_until > after(lease_s + 1.0),  # the clock was set back
            ),
        )
        .values(proposer=owner, proposer_until=after(lease_s))
        .returning(Study.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    return taken is not None


def renew(session: Session, owner: str, lease_s: float) -> None:
    """Extends what `owner` holds."""
    session.execute(
        update(Study)
        .where(Study.proposer == owner)
        .values(proposer_until=after(lease_s))
        .execution_options(synchronize_session=False)
    )


def end_turn(session: Session, study_id: int, owner: str) -> Study | None:
    """Ends `owner`'s turn; None when another replica has taken over meanwhile."""
    study = session.scalar(
        select(Study)
        .where(Study.id == study_id, Study.proposer == owner)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if study is not None:
        study.proposer, study.proposer_until = None, None
    return study


def give_back(
    session: Session,
    study_id: int,
    owner: str,
    error: str | None = None,
    *,
    is_out: bool = False,
) -> None:
    """Ends `owner`'s turn with what came of it; after an error the strategy rests, longer each time
    up to 5 minutes.

    Args:
        is_out: the strategy had nothing more to propose.
    """
    study = end_turn(session, study_id, owner)
    if study is None:
        return
    if error is None:
        study.proposer_error, study.proposer_errors, study.propose_again_at = None, 0, None
        study.proposed_out = proposal_needs.standing(session, study).mark if is_out else None
        return
    is_new = study.proposer_error != error
    study.proposer_error = error
    study.proposer_errors += 1
    rest_s = 2.0 ** min(study.proposer_errors, 60)  # no float holds what comes after days of errors
    study.propose_again_at = after(min(LONGEST_REST_S, rest_s))
    session.flush()
    if is_new:
        events.changed(session, study_id, actor="proposer", what="proposing-failed", error=error)
