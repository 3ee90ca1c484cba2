"""Proposals put into the queue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import models, proposal_needs, proposals, steering, studies, trials
from service.proposing.task import Task
from service.schemas import Proposal, StudySpec
from service.schemas.spec import FULL, step_of
from service.search.documents import finite
from service.search.situation import Proposed
from service.search.space import SAME, total_variation
from service.study import engine_terms, schedules
from service.study.runs import channel_of

SEARCH = "search"
"""Who is said to have a run continued, paused or stopped, where it is no person."""


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
        for trial in proposals.unstarted(session, study, lock_them=True)
        if trial.id in task.replace
    ]
    taken = _taken(session, set(task.replace) - {trial.id for trial in replaceable})
    room = proposal_needs.standing(session, study).missing
    # 3. What is queued already stays; of the others one mixture each, and what is left goes behind.
    spec, results = task.known.spec, None if is_fallback else task.known.version.results
    continued = [item for item in proposed if item.run is not None][:room]
    fresh = [
        item
        for item in proposed
        if item.run is None and (item.is_repeat or not _is_among(item, spec, taken))
    ]
    fresh = fresh[: len(replaceable) + room - len(continued)]
    for item in continued:
        _continue(session, task, item)
    changed = []
    for item in fresh:
        new, same = _new_trial(task, item, results), _same_mixture(spec, item, replaceable)
        if same is None:
            changed.append(new)
        else:  # it is queued already
            replaceable.remove(same)
            proposals.renew(session, same, new)
    for place, new in enumerate(changed):
        if place < len(replaceable):
            proposals.replace(session, replaceable[place], new)
        else:
            trials.add(session, study, new, actor="proposer")
    return len(fresh) + len(continued)


def _continue(session: Session, task: Task, item: Proposed) -> None:
    """Has a paused run go on, to a step where that is proposed, unless somebody was quicker."""
    trial = trials.lock_if_free(session, task.ids[item.run or 0])
    if trial is not None and trial.state == "paused" and not trial.by_hand:
        step = step_of(item.channel)
        steering.go_on(
            session,
            trial.id,
            SEARCH,
            step,
            why=item.reason,
            share=_share(task.known.spec, step),
        )


def _share(spec: StudySpec, step: int | None) -> float:
    """What a run until a step, or its end, counts as in the budget."""
    steps, _ = engine_terms.steps_of(spec)
    return 1.0 if step is None or steps is None else step / steps


def _new_trial(task: Task, item: Proposed, results: int | None) -> trials.NewTrial:
    """A trial of what is proposed, with where that came from; one of a step is a run that pauses
    there."""
    spec, step = task.known.spec, step_of(item.channel)
    mixture, schedule = schedules.of_point(spec, task.question.space, item.weights)
    reason = item.reason if schedule is None else f"{item.reason}; {schedules.in_words(schedule)}"
    reach = engine_terms.reach_in_words(spec, engine_terms.weights(spec, [mixture])[0])
    proposal = Proposal(
        strategy=item.strategy,
        seed=task.question.seed,
        reason=reason + reach,
        mean=finite(item.mean),
        sd=finite(item.sd),
    )
    return trials.NewTrial(
        mixture,
        "proposed",
        proposal.model_dump(mode="json"),
        results,
        stop_at=step,
        channel=item.channel if step is None else FULL,
        share=_share(spec, step),
        schedule=schedule,
    )


def _same_mixture(
    spec: StudySpec, item: Proposed, queued: Sequence[models.Trial]
) -> models.Trial | None:
    """The first of these trials that is to score the mixture that is proposed, in its channel."""
    alike = [trial for trial in queued if _channel(trial.channel, trial.stop_at) == item.channel]
    queued_ones = engine_terms.points(spec, [(t.mixture, t.schedule) for t in alike])
    apart = total_variation(item.weights, queued_ones)
    near = np.flatnonzero(apart <= SAME)
    return alike[int(near[0])] if len(near) else None


Taken = tuple[str, tuple[dict[str, float], engine_terms.Schedule | None]]
"""Channel, mixture and schedule of a trial."""


def _taken(session: Session, ids: set[int]) -> list[Taken]:
    rows = session.execute(
        select(
            models.Trial.channel, models.Trial.stop_at, models.Trial.mixture, models.Trial.schedule
        ).where(models.Trial.id.in_(sorted(ids)))
    )
    return [
        (_channel(channel, stop_at), (mixture, schedule))
        for channel, stop_at, mixture, schedule in rows
    ]


def _channel(channel: str, stop_at: int | None) -> str:
    """What a proposal is of: a run that pauses at a step is of that step."""
    return channel if stop_at is None else channel_of(stop_at)


def _is_among(item: Proposed, spec: StudySpec, others: Sequence[Taken]) -> bool:
    alike = engine_terms.points(spec, [point for name, point in others if name == item.channel])
    return bool(np.any(total_variation(item.weights, alike) <= SAME))
