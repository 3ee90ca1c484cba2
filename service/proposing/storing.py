"""Proposals put into the queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import models, proposing, studies, trials
from service.proposing.task import Task
from service.schemas import Proposal, StudySpec
from service.search.documents import finite
from service.search.situation import Proposed
from service.search.space import SAME, total_variation
from service.study import evidence
from service.study.evidence import Evidence


def store(
    session: Session,
    task: Task,
    proposed: Sequence[Proposed],
    owner: str,
    *,
    is_fallback: bool = False,
) -> int:
    """Puts proposals into the queue; returns how many.

    The study may have moved on during the fit. What came in later is left to the next turn, which
    comes at once and makes these proposals anew; waiting for a standstill would mean that a busy
    fleet gets none. Only what was taken meanwhile is not proposed again, and the budget holds.
    """
    # 1. The study held: a trial that came to its end between two questions would be in neither.
    study = studies.get(session, task.study, for_update=True)
    if (
        study.proposer != owner
        or study.state != "active"
        or study.edits != task.known.version.edits
    ):
        return 0
    # 2. Proposals that are still unclaimed; what others hold is left: no waiting here.
    replaceable = [
        trial
        for trial in trials.unstarted_proposals(session, study, lock_them=True)
        if trial.id in task.replace
    ]
    taken = _mixtures(session, set(task.replace) - {trial.id for trial in replaceable})
    room = proposing.standing(session, study).missing
    # 3. What is queued already stays; of the others one mixture each, and what is left goes behind.
    spec, results = task.known.spec, None if is_fallback else task.known.version.results
    fresh = [item for item in proposed if item.is_repeat or not _is_among(item, spec, taken)]
    fresh = fresh[: len(replaceable) + room]
    changed = []
    for item in fresh:
        same = _same_mixture(spec, item, replaceable)
        if same is None:
            changed.append(item)
        else:  # it is queued already
            replaceable.remove(same)
            trials.renew_proposal(session, same, _proposal(task, item), results)
    for place, item in enumerate(changed):
        mixture, proposal = _mixture(task.known, item), _proposal(task, item)
        if place < len(replaceable):
            trial = replaceable[place]
            trials.replace_proposal(session, trial, mixture, item.channel, proposal, results)
        else:
            new = trials.NewTrial(mixture, "proposed", proposal, results, channel=item.channel)
            trials.add(session, study, new, actor="proposer")
    return len(fresh)


def _proposal(task: Task, item: Proposed) -> dict[str, Any]:
    """What is stored of where a mixture came from."""
    return Proposal(
        strategy=item.strategy,
        seed=task.question.seed,
        reason=item.reason + evidence.reach_in_words(task.known.spec, item.weights),
        mean=finite(item.mean),
        sd=finite(item.sd),
    ).model_dump(mode="json")


def _same_mixture(
    spec: StudySpec, item: Proposed, queued: Sequence[models.Trial]
) -> models.Trial | None:
    """The first of these trials that is to score the mixture that is proposed, in its channel."""
    alike = [trial for trial in queued if trial.channel == item.channel]
    apart = total_variation(item.weights, evidence.weights(spec, [t.mixture for t in alike]))
    near = np.flatnonzero(apart <= SAME)
    return alike[int(near[0])] if len(near) else None


def _mixtures(session: Session, ids: set[int]) -> list[tuple[str, dict[str, float]]]:
    """Channels and mixtures of trials."""
    rows = session.execute(
        select(models.Trial.channel, models.Trial.mixture).where(models.Trial.id.in_(sorted(ids)))
    )
    return list(rows.tuples())


def _is_among(
    item: Proposed, spec: StudySpec, others: Sequence[tuple[str, dict[str, float]]]
) -> bool:
    alike = evidence.weights(spec, [mixture for name, mixture in others if name == item.channel])
    return bool(np.any(total_variation(item.weights, alike) <= SAME))


def _mixture(known: Evidence, item: Proposed) -> dict[str, float]:
    return known.spec.mixture(known.space.named(item.weights))
