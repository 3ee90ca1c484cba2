"""Studies: create, find, list, change."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import datetime
from itertools import accumulate
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from db import events, owners, proposals, specs, trials
from db.clock import now
from db.errors import StudyExists, StudyNotFound, WrongState
from db.models import PART, Attempt, CurvePoint, Event, Fit, Measurement, Study, Trial
from db.specs import complete
from db.trial_states import UNDER_WAY, WHOLE

_NAMED = (
    select(Study).where(Study.name == bindparam("named")).execution_options(populate_existing=True)
)
_NAMED_LOCKED = _NAMED.with_for_update(key_share=True)

CHANGED = "study-changed"
"""The event of a change, with what was before and after by its path: `budget`, `limits`,
`domains.coco.upper`."""

APART = ("lookahead", "weight", "requires", "recipe")
"""Fields of a specification that change neither what runs say nor what may be proposed."""


def create(
    session: Session, spec: dict[str, Any], actor: str, owner: str | None = None
) -> tuple[Study, bool]:
    """The study of this specification, and whether it is new.

    Args:
        spec: the whole body with defaults filled in, so that equal studies have equal bodies.
        owner: of a new one.

    Raises:
        StudyExists: the name is taken by a study with another body.
    """
    found, asked = session.scalar(select(Study).where(Study.name == spec["name"])), complete(spec)
    if found is not None:
        first = complete(found.created_as or found.spec) | {"name": found.name}
        different = sorted(key for key in spec if asked[key] != first.get(key))
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
        owner=owner,
    )
    session.add(study)
    session.flush()
    events.changed(session, study.id, actor=actor, what="study-created")
    session.refresh(study)
    return study, True


def find(session: Session, name: str) -> Study | None:
    """The study of this name, or else the newest that was called so."""
    return session.scalar(_NAMED, {"named": name}) or _formerly(session, name)


def _formerly(session: Session, name: str, *, for_update: bool = False) -> Study | None:
    query = select(Study).where(_called(name)).order_by(Study.id.desc()).limit(1)
    if for_update:
        query = query.with_for_update(key_share=True)
    return session.scalar(query.execution_options(populate_existing=True))


def _called(name: str) -> ColumnElement[bool]:
    return Study.former_names.contains(f"/{name}/", autoescape=True)


def get(session: Session, name: str, *, for_update: bool = False) -> Study:
    """The study of this name, or else the newest that was called so.

    Raises:
        StudyNotFound: there is none.
    """
    study = session.scalar(_NAMED_LOCKED if for_update else _NAMED, {"named": name})
    if study is None:
        study = _formerly(session, name, for_update=for_update)
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
    /,
    *,
    spec: Mapping[str, Any] | None = None,
    **columns: Any,
) -> Study:
    """Changes what is given, and notes it as one event with what was before. Nothing new, no event.

    Pausing or finishing stops `next`; running trials go on. A smaller budget, in trials or
    GPU-hours, withdraws proposals that no longer fit and that no worker has held. Called otherwise,
    a study is found by its former name too, and others that take it as evidence name it anew.

    Args:
        spec: fields of the specification, whole.
        columns: `name`, `state`, `budget`, `gpu_hours` (None for none), `note`, `lease_s`,
            `max_attempts`, `owner` (None for no owner).

    Raises:
        StudyNotFound: there is none of this name.
        StudyExists: the name it is to have is another study's.
    """
    study = get(session, name, for_update=True)
    changed: dict[str, Any] = {}
    changed |= specs.changes(
        {column: getattr(study, column) for column in columns},
        columns,
    )
    if "name" in changed:
        _rename(session, study, columns["name"], actor)
    for column in changed.keys() - {"name"}:
        setattr(study, column, columns[column])
    if "state" in changed and study.state == "active":
        study.resumed_at, study.proposer_errors, study.propose_again_at = now(), 0, None
        study.proposer_error, study.failing = None, 0
    if spec is not None:
        changed |= _edit(study, spec)
    session.flush()
    if not changed:
        return study
    if changed.keys() & {"budget", "gpu_hours"}:
        proposals.withdraw_surplus(session, study)
    events.changed(session, study.id, actor=actor, what=CHANGED, **changed)
    session.refresh(study)
    return study


def _rename(session: Session, study: Study, name: str, actor: str) -> None:
    if session.scalar(_NAMED, {"named": name}) is not None:
        raise StudyExists(
            f"study {study.name!r} cannot be called {name!r}: another study is; choose another name"
        )
    kept = [former for former in study.former_names.split("/") if former not in ("", name)]
    naming = [
        (other.name, entry["study"])
        for other in everyone(session)
        for entry in other.spec["evidence"]
        if other.id != study.id and taken(session, other, entry["study"]) is study
    ]
    study.former_names = "".join(f"/{former}" for former in (*kept, study.name)) + "/"
    study.name = name
    session.flush()
    for other, named in sorted(naming):
        _name_anew(session, get(session, other, for_update=True), named, name, actor)


def taken(session: Session, study: Study, name: str) -> Study | None:
    """The other study that one takes as evidence by a name; None where it is gone, though another
    be called so since."""
    formerly = select(Study).where(_called(name)).order_by(Study.id.desc())
    for query in (_NAMED, formerly):
        for other in session.scalars(query, {"named": name}):
            made = other.created_at
            if made <= study.created_at or made <= _named_at(session, study, name):
                return other
    return None


def _named_at(session: Session, study: Study, name: str) -> datetime:
    """When a study came to take the one of this name as evidence."""
    changed = session.execute(
        select(Event.at, Event.detail)
        .where(Event.study_id == study.id, Event.what == CHANGED)
        .order_by(Event.id.desc())
    )
    for event in changed:
        before, after = event.detail.get("evidence", ([], []))
        if {"study": name} in after and {"study": name} not in before:
            at: datetime = event.at
            return at
    return study.created_at


def _name_anew(session: Session, study: Study, before: str, after: str, actor: str) -> None:
    """Has a study name the same evidence otherwise. That is no edit of what its runs say."""
    listed = study.spec["evidence"]
    names = [after if entry["study"] == before else entry["study"] for entry in listed]
    anew = [{"study": name} for name in dict.fromkeys(names)]
    if study.created_as is None:
        study.created_as = study.spec
    study.spec = study.spec | {"evidence": anew}
    session.flush()
    events.changed(session, study.id, actor=actor, what=CHANGED, evidence=[listed, anew])


def _edit(study: Study, spec: Mapping[str, Any]) -> dict[str, specs.Change]:
    """Takes over fields of a specification; returns what is new of them."""
    now = specs.search(study.spec, study.channels, early_stopping=study.early_stopping)
    before = {field: now if field == "search" else study.spec[field] for field in spec}
    changed = specs.changes(before, spec)
    if changed:
        if study.created_as is None:
            study.created_as = study.spec
        study.spec = study.spec | dict(spec)
        if "search" in spec:
            study.channels = ",".join(spec["search"]["channels"])
            study.early_stopping = spec["search"]["early_stopping"]
        study.edits += any(before[field] != spec[field] for field in spec if field not in APART)
    return changed


def changes(
    session: Session, study: Study, limit: int
) -> list[tuple[datetime, str, dict[str, Any], int]]:
    """The newest changes of a study, oldest first: when, by whom, what was before and after, and
    the number of the newest trial that was completed by then (0 for none)."""
    newest = session.execute(
        select(Event.at, Event.actor, Event.detail)
        .where(Event.study_id == study.id, Event.what == CHANGED)
        .order_by(Event.id.desc())
        .limit(limit)
    )
    found = list(newest)[::-1]
    if not found:
        return []
    completed = session.execute(
        select(Trial.finished_at, Trial.number)
        .where(Trial.study_id == study.id, Trial.state == WHOLE)
        .order_by(Trial.finished_at)
    ).all()
    ends = [at for at, _ in completed]
    newest_by_then = [0, *accumulate((number for _, number in completed), max)]
    return [(at, by, what, newest_by_then[bisect_right(ends, at)]) for at, by, what in found]


def delete(session: Session, name: str) -> None:
    """Removes a study with its trials, their scores, curves and events, and its fits, for good.

    Raises:
        StudyNotFound: there is none of this name.
        WrongState: one of its trials is running.
    """
    trials.lock_all(session, get(session, name))
    study = get(session, name, for_update=True)
    running = trial_counts(session, [study.id])[study.id].get("running", 0)
    if running:
        raise WrongState(
            f"study {study.name!r} has {running} running trial{'s' if running > 1 else ''}: cancel "
            "them or let them end, then delete it"
        )
    owners.keep_cost(session, study)
    of_study = select(Trial.id).where(Trial.study_id == study.id)
    for part in (Event, Fit):
        session.execute(sql_delete(part).where(part.study_id == study.id))
    for of_trial in (CurvePoint, Measurement, Attempt):
        session.execute(sql_delete(of_trial).where(of_trial.trial_id.in_(of_study)))
    session.execute(sql_delete(Trial).where(Trial.study_id == study.id))
    session.execute(sql_delete(Study).where(Study.id == study.id))


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
