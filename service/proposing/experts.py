"""Runs that merged models need, queued by the service where they are missing.

Ordinary runs of the budget: the uniform mixture, whose score the first merged model is to meet, and
each domain alone. Behind them that first merged model itself. Each is queued once: one that failed
or was called off is left to people, and trials of their own count as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import models, proposal_needs, studies, trials
from db.queue import FAILURES_IN_A_ROW
from service.proposing.task import proposal_seed
from service.schemas import Proposal
from service.schemas.spec import FULL, MERGED
from service.study import merging, views
from service.study.merging import Row, Standing

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
    """Active studies whose search has the channel `merged`, each with what decides whether trials
    are missing: while that stays, so does the answer."""
    rows = session.scalars(
        select(models.Study)
        .where(
            models.Study.state == "active",
            models.Study.channels.contains(MERGED),
            models.Study.failing < FAILURES_IN_A_ROW,
        )
        .order_by(models.Study.id)
    )
    return [(row.name, (row.results, row.last_number, row.planned, row.edits)) for row in rows]


def queue_missing(session: Session, name: str) -> int:
    """Queues what is missing, as far as the budget goes; returns how many."""
    study = studies.get(session, name, for_update=True)  # another replica does the same just now
    spec = views.spec(study)
    if study.state != "active" or MERGED not in spec.search.channels:
        return 0
    room = proposal_needs.standing(session, study).room
    missing = _missing(merging.read(session, study, spec))
    runs = [one for one in missing if one.channel == FULL]
    queued = runs[:room]
    if len(queued) == len(runs):  # else it would wait for ever
        queued = list(missing)
    for one in queued:
        proposal = Proposal(
            strategy=merging.BY,
            seed=proposal_seed(spec.seed, study.results, study.last_number + 1),
            reason=one.reason,
        ).model_dump(mode="json")
        new = trials.NewTrial(
            spec.mixture(one.mixture), "proposed", proposal, study.results, channel=one.channel
        )
        trials.add(session, study, new, actor="proposer")
    return len(queued)


def _missing(now: Standing) -> Sequence[Wanted]:
    """What merged models need and nobody runs or has queued, in the order it is needed in."""
    uniform = dict.fromkeys(now.domains, 1 / len(now.domains))
    of_uniform = [row for row in now.rows if row.is_uniform]
    found = []
    if now.truth is None and _is_free(of_uniform, FULL):
        found.append(Wanted(uniform, FULL, FOR_SCALE))
    for name in now.domains:
        mine = [row for row in now.rows if row.alone == name]
        if name not in now.experts and _is_free(mine, FULL):
            found.append(Wanted({name: 1.0}, FULL, FOR_DOMAIN.format(name)))
    if now.scale_at_uniform is None and _is_free(of_uniform, MERGED):
        found.append(Wanted(uniform, MERGED, FOR_ALL))
    return found


def _is_free(rows: Sequence[Row], channel: str) -> bool:
    """Whether none of a mixture's trials is under way or was queued for merging before."""
    mine = [row for row in rows if row.channel == channel and not row.is_withdrawn]
    return not any(row.is_under_way or row.by == merging.BY for row in mine)
