"""Studies: create, find, list, change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from db import events, trials
from db.clock import now
from db.errors import StudyExists, StudyNotFound
from db.models import PART, Study, Trial
from db.specs import complete
from db.trial_states import UNDER_WAY

_NAMED = (
    select(Study).where(Study.name == bindparam("named")).execution_options(populate_existing=True)
)
_NAMED_LOCKED = _NAMED.with_for_update(key_share=True)


def create(session: Session, spec: dict[str, Any], actor: str) -> tuple[Study, bool]:
    """The study of this specification, and whether it is new.

    Args:
        spec: the whole body with defaults filled in, so that equal studies have equal bodies.

    Raises:
        StudyExists: the name is taken by a study with another body.
    """
    found, asked = session.scalar(select(Study).where(Study.name == spec["name"])), complete(spec)
    if found is not None:
        different = sorted(key for key in spec if asked[key] != found.spec.get(key))
        if different:
            raise StudyExists(f"study {spec['name']!r} exists with another {', '.join(different)}")
        return found, False
    study = Study(
        name=spec["name"],
        spec=spec,
        budget=spec["budget"],
        gpu_hours=spec.get("gpu_hours"),
        channels=",".join(asked["search"]["channels"]),
        early_stopping=asked["search"]["early_stopping"],
        note=spec["note"],
        lease_s=spec["lease_s"],
        max_attempts=spec["max_attempts"],
    )
    session.add(study)
    session.flush()
    events.changed(session, study.id, actor=actor, what="study-created")
    session.refresh(study)
    return study, True


def find(session: Session, name: str) -> Study | None:
    """The study of this name, if there is one."""
    return session.scalar(_NAMED, {"named": name})


def get(session: Session, name: str, *, for_update: bool = False) -> Study:
    """The study of this name.

    Raises:
        StudyNotFound: there is none.
    """
    study = session.scalar(_NAMED_LOCKED if for_update else _NAMED, {"named": name})
    if study is None:
        raise StudyNotFound(f"no study {name!r}")
    return study


def everyone(session: Session, *states: str) -> list[Study]:
    """All studies, or those in one of the states, newest first."""
    query = select(Study).order_by(Study.id.desc())
    if states:
        query = query.where(Study.state.in_(states))
    return list(session.scalars(query))


def page(session: Session, *, before: str | None, limit: int) -> tuple[list[Study], bool]:
    """Studies older than `before`, newest first, and whether there are more.

    Raises:
        StudyNotFound: there is no `before`.
    """
    query = select(Study).order_by(Study.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(Study.id < get(session, before).id)
    found = list(session.scalars(query))
    return found[:limit], len(found) > limit


def patch(
    session: Session,
    name: str,
    actor: str,
    *,
    state: str | None = None,
    budget: int | None = None,
    gpu_hours: float | None = None,
    note: str | None = None,
    channels: Sequence[str] | None = None,
    early_stopping: bool | None = None,
) -> Study:
    """Changes what is given. Pausing or finishing stops `next`; running trials go on.

    A smaller budget, in trials or GPU-hours, withdraws proposals that no longer fit and that no
    worker has held.

    Raises:
        StudyNotFound: there is none of this name.
    """
    study = get(session, name, for_update=True)
    change: dict[str, Any] = {}
    if state is not None and state != study.state:
        change["state"] = [study.state, state]
        study.state = state
        if state == "active":
            study.resumed_at, study.proposer_errors, study.propose_again_at = now(), 0, None
            study.proposer_error, study.failing = None, 0
    if budget is not None:
        change["budget"] = budget
        study.budget = budget
    if gpu_hours is not None:
        change["gpu_hours"] = gpu_hours
        study.gpu_hours = gpu_hours
    if budget is not None or gpu_hours is not None:
        session.flush()
        trials.withdraw_surplus(session, study)
    if channels is not None:
        change["channels"] = list(channels)
        study.channels = ",".join(channels)
    if early_stopping is not None and early_stopping != study.early_stopping:
        change["early_stopping"] = study.early_stopping = early_stopping
    if note is not None:
        change["note"] = note
        study.note = note
    session.flush()
    if change:
        events.changed(session, study.id, actor=actor, what="study-changed", **change)
    session.refresh(study)
    return study


def is_done(study: Study, counts: dict[str, int]) -> bool:
    """Whether its budgets are used and nothing is under way any more.

    Args:
        counts: of the study's trials, as by `trial_counts`.
    """
    under_way = sum(counts.get(state, 0) for state in UNDER_WAY)
    return not under_way and study.completed + PART >= study.planned


def trial_counts(session: Session, study_ids: list[int]) -> dict[int, dict[str, int]]:
    """Number of trials in each state that has any, by study."""
    counts: dict[int, dict[str, int]] = {study_id: {} for study_id in study_ids}
    rows = session.execute(
        select(Trial.study_id, Trial.state, func.count())
        .where(Trial.study_id.in_(study_ids))
        .group_by(Trial.study_id, Trial.state)
    )
    for study_id, state, count in rows:
        counts[study_id][state] = count
    return counts
