"""Runs that merged models need, queued by the service where they are missing.

Ordinary runs of the budget: the uniform mixture, whose score the first merged model is to meet, and
each domain alone. Behind them that first merged model itself. Each is queued once: one that failed
or was called off is left to people, and trials of their own count as well. Proposed merged models
that would wait for such a one for ever are withdrawn, so that the study can end without them; the
first one is queued again when somebody has seen to what it lacked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session

from db import models, proposal_needs, proposals, studies, trials
from db.models import Trial
from db.queue import FAILURES_IN_A_ROW
from service.proposing.task import proposal_seed
from service.schemas import Proposal
from service.schemas.spec import FULL, MERGED
from service.study import merge_readiness, views
from service.study.merge_readiness import MergeReadiness
from service.study.merge_waits import in_vain, is_wanted

FOR_SCALE = "its score says how far the experts' changes are to be scaled in merged models"
FOR_DOMAIN = "the expert of {!r}, for merged models"
FOR_ALL = "the first merged model: it finds how far the experts' changes are to be scaled"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A trial that is missing."""

    mixture: dict[str, float]
    channel: str
    reason: str


def merging_studies(session: Session) -> list[tuple[str, tuple[int, ...]]]:
    """Active studies whose search has the channel `merged`, or had it when merged models of it were
    queued; each with what decides whether trials are missing: while that stays, so does the answer.
    """
    waits = exists().where(
        Trial.study_id == models.Study.id, Trial.state == "queued", Trial.channel == MERGED
    )
    is_over = (Trial.study_id == models.Study.id, Trial.state.in_(("failed", "cancelled")))
    rows = session.execute(
        select(
            models.Study,
            select(func.count()).select_from(Trial).where(*is_over).scalar_subquery(),
            select(func.max(Trial.revision)).where(*is_over).scalar_subquery(),
        )
        .where(
            models.Study.state == "active",
            or_(models.Study.channels.contains(MERGED), waits),
            models.Study.failing < FAILURES_IN_A_ROW,
        )
        .order_by(models.Study.id)
    )
    return [
        (row.name, (row.results, row.last_number, row.planned, row.edits, n_over, last_over or 0))
        for row, n_over, last_over in rows
    ]


def queue_missing(session: Session, name: str) -> int:
    """Queues what is missing, as far as the budget goes, and withdraws proposals that would wait in
    vain; returns how many were queued."""
    study = studies.get(session, name, for_update=True)  # another replica does the same just now
    spec = views.spec(study)
    if study.state != "active":
        return 0
    standing = proposal_needs.standing(session, study)
    now, room = merge_readiness.read(session, study, spec), standing.room
    missing = _missing(now) if MERGED in spec.search.channels else ()
    runs = [one for one in missing if one.channel == FULL]
    queued = runs[:room]
    if len(queued) == len(runs):  # else it would wait for ever
        queued = list(missing)
    for one in queued:
        proposal = Proposal(
            strategy=merge_readiness.BY,
            seed=proposal_seed(spec.seed, study.results, study.last_number + 1),
            reason=one.reason,
        ).model_dump(mode="json")
        new = trials.NewTrial(
            spec.mixture(one.mixture), "proposed", proposal, study.results, channel=one.channel
        )
        trials.add(session, study, new, actor="proposer")
    # What is under way may fail, and then gives its room in the budget back.
    is_room = bool(queued or standing.runs)
    _withdraw(session, study, now, may_queue=is_room and MERGED in spec.search.channels)
    return len(queued)


def _withdraw(
    session: Session, study: models.Study, now: MergeReadiness, *, may_queue: bool
) -> None:
    for trial in proposals.unstarted(session, study, lock_them=True):
        if trial.channel == MERGED:
            why = in_vain(now, trial.mixture, may_queue=may_queue)
            if why is not None:
                proposals.withdraw(session, trial, why)


def _missing(now: MergeReadiness) -> Sequence[Wanted]:
    """What merged models need and nobody runs or has queued, in the order it is needed in."""
    found = []
    needs_truth = now.truth is None and now.scale_at_uniform is None
    if needs_truth and is_wanted(now.of_uniform(FULL)):
        found.append(Wanted(now.uniform, FULL, FOR_SCALE))
    found += [
        Wanted({name: 1.0}, FULL, FOR_DOMAIN.format(name))
        for name in now.domains
        if name not in now.experts and is_wanted(now.of_domain(name))
    ]
    is_first = now.scale_at_uniform is None and is_wanted(now.of_uniform(MERGED))
    if is_first and in_vain(now, now.uniform) is None:
        found.append(Wanted(now.uniform, MERGED, FOR_ALL))
    return found
