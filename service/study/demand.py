"""How much work there is for workers: of one study, or of all."""

from __future__ import annotations

from sqlalchemy.orm import Session

from db import owners, proposal_needs, queue, sharing, studies
from db.sharing import Ability
from service.schemas import Demand
from service.study import merge_readiness, waiting


def read(
    session: Session, name: str | None, owner: str | None = None, ability: Ability | None = None
) -> Demand:
    """By the rules of `POST /trials/next`.

    Args:
        owner: whose studies alone are served; None for all.
        ability: what workers have; studies that require more do not count. None for workers that
            have everything.

    Raises:
        StudyNotFound: there is none of this name.
    """
    found = studies.everyone(session) if name is None else [studies.get(session, name)]
    found = [
        study
        for study in found
        if owner in (None, study.owner)
        and (ability is None or not sharing.lacking(study.spec["requires"], ability))
    ]
    spent = owners.used_up(session, {study.owner for study in found})
    open_to = [study.id for study in found if study.owner not in spent]
    standings = proposal_needs.standings(session, found)
    ready = merge_readiness.ready(session, name)
    claimable = sum(queue.claimable(session, open_to, ready).values())
    reason: str | None = None
    retry_after_s: float | None = 0.0
    if not claimable:
        reason, retry_after_s = waiting.for_a_trial(session, name, owner=owner, ability=ability)
    return Demand(
        claimable=claimable,
        running=sum(now.running for now in standings),
        paused=sum(now.paused for now in standings),
        left=sum(now.left for now in standings),
        retry_after_s=retry_after_s,
        reason=reason,
    )
