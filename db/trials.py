"""Trials: add, find, list, and the proposals among them that may still change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Select, bindparam, select, update
from sqlalchemy.orm import Session, joinedload, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from db import events, measurements, states
from db import tags as tagging
from db.clock import now
from db.errors import KeyReused, TrialNotFound
from db.measurements import Reading
from db.models import Attempt, Measurement, Study, Trial

BY_HAND = 10
"""Priority of what a person queued: before proposals."""


@dataclass(frozen=True, slots=True)
class NewTrial:
    """A trial to be stored; with readings it is a finished run."""

    mixture: dict[str, float]
    origin: str
    proposal: dict[str, Any] | None = None
    proposed_at_results: int | None = None
    readings: Sequence[Reading] = ()
    wall_s: float | None = None
    note: str = ""
    client_key: str | None = None
    priority: int = field(default=0)
    stop_at: int | None = None
    channel: str = "full"
    share: float = 1.0
    """Of a whole run that the budget counts it as."""
    tags: Sequence[str] = ()
    schedule: list[dict[str, Any]] | None = None
    """Mixtures by phase, where they change during the run."""


def training_seed(study_seed: int, number: int) -> int:
    """Seed of a trial's training run: its own, yet the same whenever the study is repeated."""
    digest = hashlib.sha256(f"training/{study_seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31


def add(session: Session, study: Study, new: NewTrial, actor: str) -> tuple[Trial, bool]:
    """Stores a trial and says whether it is new.

    Raises:
        KeyReused: its idempotency key came before with another body.
    """
    if new.client_key is not None:
        found = session.scalar(
            select(Trial).where(Trial.study_id == study.id, Trial.client_key == new.client_key)
        )
        if found is not None and found.client_hash not in (None, _digest(new), _former_digest(new)):
            raise KeyReused(
                f"idempotency key {new.client_key!r} belongs to {found.called}, whose body "
                "differs; send a new key with a new trial"
            )
        if found is not None:
            return found, False
    number = session.execute(
        update(Study)
        .where(Study.id == study.id)
        .values(
            last_number=Study.last_number + 1,
            attached=Study.attached + int(new.origin == "attached" and new.channel == "full"),
        )
        .returning(Study.last_number)
        .execution_options(synchronize_session=False)
    ).scalar_one()
    is_finished = bool(new.readings)
    trial = Trial(
        study_id=study.id,
        number=number,
        state="completed" if is_finished else "queued",
        origin=new.origin,
        priority=new.priority,
        stop_at=new.stop_at,
        share=new.share,
        by_hand=new.origin != "proposed",
        channel=new.channel,
        mixture=new.mixture,
        schedule=new.schedule,
        seed=training_seed(study.spec["seed"], number),
        proposal=new.proposal,
        proposed_at_results=new.proposed_at_results,
        wall_s=new.wall_s,
        note=new.note,
        tags=tagging.joined(new.tags),
        client_key=new.client_key,
        client_hash=None if new.client_key is None else _digest(new),
    )
    if is_finished:
        trial.finished_at = now()
    session.add(trial)
    session.flush()
    measurements.keep(session, trial, new.readings)
    what = {"proposed": "proposed", "queued": "queued", "attached": "attached"}[new.origin]
    events.changed(session, study.id, actor=actor, what=what, trial=trial, is_result=is_finished)
    session.flush()
    return trial, True


def _digest(new: NewTrial) -> str:
    """Hash by which the same body is known again, whatever became of its trial, and whatever
    domains came since: what has no weight is left out."""
    schedule = new.schedule and [
        phase | {"mixture": _positive(phase["mixture"])} for phase in new.schedule
    ]
    return _former_digest(replace(new, mixture=_positive(new.mixture), schedule=schedule))


def _positive(mixture: Mapping[str, float]) -> dict[str, float]:
    return {name: weight for name, weight in mixture.items() if weight > 0}


def _former_digest(new: NewTrial) -> str:
    """As earlier releases stored it."""
    scores = measurements.digest(new.readings, None, new.wall_s)
    body: list[Any] = [new.mixture, new.note, new.origin, scores]
    if new.stop_at is not None:
        body.append(new.stop_at)
    if new.channel != "full":
        body.append(new.channel)
    if new.tags:
        body.append({"tags": list(new.tags)})
    if new.schedule is not None:
        body.append(new.schedule)
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


_FULL = (
    joinedload(Trial.study),
    joinedload(Trial.attempt),
    selectinload(Trial.measurements),
)


def _full(query: Select[Trial]) -> Select[Trial]:
    return query.options(*_FULL).execution_options(populate_existing=True)


_ONE = _full(select(Trial).where(Trial.id == bindparam("of_trial")))
_WITH_STUDY = (
    select(Trial).options(joinedload(Trial.study)).where(Trial.id == bindparam("of_trial"))
)
_NUMBERED = select(Trial.id).where(
    Trial.study_id == bindparam("of_study"), Trial.number == bindparam("numbered")
)
_LOCKED = (
    select(Trial)
    .where(Trial.id == bindparam("of_trial"))
    .with_for_update()
    .execution_options(populate_existing=True)
)


def not_found(trial_id: int) -> TrialNotFound:
    """The error of an id that no trial has."""
    return TrialNotFound(f"no trial {trial_id} (an id, not the number in a study)")


def id_of(session: Session, study: Study, number: int) -> int:
    """The id of a study's trial by its number.

    Raises:
        TrialNotFound: the study has none of this number.
    """
    found: int | None = session.scalar(_NUMBERED, {"of_study": study.id, "numbered": number})
    if found is None:
        newest = study.last_number
        has = f"its newest is {newest}" if newest else "it has none yet"
        raise TrialNotFound(f"study {study.name!r} has no trial {number}; {has}")
    return found


def get(session: Session, trial_id: int) -> Trial:
    """A trial with its study, newest attempt and measurements.

    Raises:
        TrialNotFound: there is none of this id.
    """
    trial = session.scalar(_ONE, {"of_trial": trial_id})
    if trial is None:
        raise not_found(trial_id)
    return trial


def with_study(session: Session, trial_id: int) -> Trial:
    """A trial with its study and no more.

    Raises:
        TrialNotFound: there is none of this id.
    """
    trial = session.scalar(_WITH_STUDY, {"of_trial": trial_id})
    if trial is None:
        raise not_found(trial_id)
    return trial


def fill(trial: Trial, attempt: Attempt, measured: Iterable[Measurement]) -> None:
    """Gives a trial what `get` would read, where the caller knows it: its newest attempt and all
    its measurements."""
    set_committed_value(trial, "attempt", attempt)
    set_committed_value(trial, "measurements", sorted(measured, key=lambda row: row.id))


def lock(session: Session, trial_id: int) -> Trial:
    """The trial alone, held against other writers until the transaction ends.

    Raises:
        TrialNotFound: there is none of this id.
    """
    trial = session.scalar(_LOCKED, {"of_trial": trial_id})
    if trial is None:
        raise not_found(trial_id)
    return trial


def lock_if_free(session: Session, trial_id: int) -> Trial | None:
    """The same for who holds the trial's study already, and so must not wait for it; None while
    another writer holds it."""
    return session.scalar(
        select(Trial)
        .where(Trial.id == trial_id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )


def page(
    session: Session, study: Study, *, after: int = 0, limit: int = 500, state: str | None = None
) -> tuple[list[Trial], bool]:
    """Trials that changed after a revision, in order of change, and whether there are more."""
    query = select(Trial).where(Trial.study_id == study.id, Trial.revision > after)
    if state is not None:
        query = query.where(Trial.state == state)
    query = query.order_by(Trial.revision, Trial.id).limit(limit + 1)
    rows = list(session.scalars(_full(query)))
    return rows[:limit], len(rows) > limit


def of_study(session: Session, study: Study, states: Iterable[str]) -> list[Trial]:
    """All trials of some states with their measurements, by number."""
    query = select(Trial).where(Trial.study_id == study.id, Trial.state.in_(list(states)))
    return list(session.scalars(_full(query.order_by(Trial.number))))


def paused_steps(session: Session, study: Study) -> dict[int, int]:
    """Step at which a trial paused last, by its id: of those whose scores are still to come, also
    where they were continued since."""
    rows = session.execute(
        select(Attempt.trial_id, Attempt.step)
        .join(Trial, Trial.id == Attempt.trial_id)
        .where(
            Trial.study_id == study.id,
            Trial.state.in_(states.UNDER_WAY),
            Attempt.state == "paused",
        )
        .order_by(Attempt.trial_id, Attempt.number)
    )
    return {trial_id: step for trial_id, step in rows if step is not None}


def annotate(session: Session, trial_id: int, note: str, actor: str) -> None:
    """Gives a trial another note, in any state. The same again changes nothing.

    Raises:
        TrialNotFound: there is none of this id.
    """
    trial = lock(session, trial_id)
    if trial.note == note:
        return
    trial.note = note
    events.changed(session, trial.study_id, actor=actor, what="noted", trial=trial)
    session.flush()


def tag(session: Session, trial_id: int, tags: Sequence[str], actor: str) -> None:
    """Gives a trial these tags in place of those it has, in any state. The same again changes
    nothing.

    Raises:
        TrialNotFound: there is none of this id.
    """
    trial = lock(session, trial_id)
    before, after = tagging.parted(trial.tags), list(dict.fromkeys(tags))
    if before == after:
        return
    trial.tags = tagging.joined(after)
    events.changed(
        session,
        trial.study_id,
        actor=actor,
        what="tagged",
        trial=trial,
        before=before,
        after=after,
    )
    session.flush()


def lock_all(
    session: Session, study: Study, numbers: Sequence[int] | None = None
) -> Sequence[Trial]:
    """All trials of a study, or those of some numbers, held against other writers until the
    transaction ends. Who also wants the study's row locks it after this: the order in which leases
    are given."""
    query = select(Trial).where(Trial.study_id == study.id).order_by(Trial.id).with_for_update()
    if numbers is not None:
        query = query.where(Trial.number.in_(numbers))
    return session.scalars(query.execution_options(populate_existing=True)).all()
