"""What merged models wait for, in words; and whether it will ever come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from db import queue
from db.models import Study
from service.schemas.spec import FULL, MERGED
from service.search.counts import counted
from service.study import views
from service.study.merge_readiness import BY, MergeReadiness, Row, read


def held_back(session: Session, study: Study) -> str | None:
    """What the queued merged trials of an active study wait for, in words; None where there is none
    or one is ready."""
    return queued(session, study)[1]


def queued(session: Session, study: Study) -> tuple[list[int], str | None]:
    """Ids of an active study's queued merged trials that can be run now; and where there are some
    but none can be, what they wait for, in words."""
    waiting = queue.queued_merged(session, study.name)
    if not waiting:
        return [], None
    now = read(session, study, views.spec(study))
    found = [trial_id for trial_id, _, mixture in waiting if now.is_ready(trial_id, mixture)]
    if found:
        return found, None
    return [], f"{counted(len(waiting), 'merged model')} cannot be made yet: {_why_not(now)}"


def in_vain(
    now: MergeReadiness, mixture: Mapping[str, float], *, may_queue: bool = True
) -> str | None:
    """Why a merged model of a mixture will not be made unless a person does something about it,
    in words; None where it can be, or may yet be.

    Args:
        may_queue: whether the service may yet queue what is missing.
    """
    # The uniform one, which finds `lambda_u`, needs every domain's.
    names = now.domains if now.scale_at_uniform is None else now.without_expert(mixture)
    for name in names:
        mine = now.of_domain(name)
        if name not in now.experts and not _is_coming(mine, may_queue=may_queue):
            said = _story(now, name)
            return f"domain {name!r} has no expert, and none is to come ({said})"
    if now.scale_at_uniform is not None:
        return None
    if now.truth is None and not _is_coming(now.of_uniform(FULL), may_queue=may_queue):
        said = _uniform_story(now)
        return f"the uniform mixture has no run, and none is to come ({said})"
    if not _is_coming(merged := now.of_uniform(MERGED), may_queue=may_queue):
        said = _last(merged, "it does not say which scale it found")
        return (
            "how far the experts' changes are to be scaled is not known: of the merged model "
            f"of the uniform mixture {said}"
        )
    return None


def is_wanted(rows: Sequence[Row]) -> bool:
    """Whether the service queues a trial like these: none is under way, and it has queued none
    before."""
    return not any(row.is_under_way or row.by == BY for row in rows if not row.is_withdrawn)


def _is_coming(rows: Sequence[Row], *, may_queue: bool) -> bool:
    return any(row.is_under_way for row in rows) or (may_queue and is_wanted(rows))


def _why_not(now: MergeReadiness) -> str:
    for name in now.domains:
        if name not in now.experts:
            return f"domain {name!r} has no expert yet ({_story(now, name)})"
    if now.truth is None:
        return f"the uniform mixture has no run yet ({_uniform_story(now)})"
    if now.calibrating is None:
        return (
            "none of them is of the uniform mixture, which is merged first to find how far the "
            "experts' changes are to be scaled; queue it"
        )
    return "the uniform mixture is merged first, to find how far the experts' changes are scaled"


def _story(now: MergeReadiness, domain: str) -> str:
    """What became of the runs of a domain alone."""
    return _last(now.of_domain(domain), "its weights are in no store: start workers with --store")


def _uniform_story(now: MergeReadiness) -> str:
    return _last(now.of_uniform(FULL), "it lacks a score that the objective weighs")


def _last(mine: Sequence[Row], unfit: str) -> str:
    """Args:
    unfit: why a completed one does not do.
    """
    if not mine:
        return "no run of it was queued"
    last = next((row for row in mine if row.is_under_way), mine[-1])
    said = f"trial {last.number} is {last.state}"
    return f"{said}, and {unfit}" if last.state == "completed" else said
