"""How much work there is for workers: of one study, or of all."""

from __future__ import annotations

from sqlalchemy.orm import Session

from db import proposal_needs, queue, studies
from service.schemas import Demand
from service.study import merge_readiness, waiting


def read(session: Session, name: str | None) -> Demand:
    """By the rules of `POST /trials/next`.

    Raises:
        StudyNotFound: there is none of this name.
    """
    found = studies.everyone(session) if name is None else [studies.get(session, name)]
    standings = proposal_needs.standings(session, found)
    ready = merge_readiness.ready(session, name)
    claimable = sum(queue.claimable(session, [study.id for study in found], ready).values())
    reason, retry_after_s = (None, 0.0) if claimable else waiting.for_a_trial(session, name)
    return Demand(
        claimable=claimable,
        running=sum(now.running for now in standings),
        paused=sum(now.paused for now in standings),
        left=sum(now.left for now in standings),
        retry_after_s=retry_after_s,
        reason=reason,
    )
