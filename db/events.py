"""The log of changes: every change of state is an event row and a step of the study's revision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Insert,
    Select,
    bindparam,
    case,
    exists,
    insert,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from db.clock import now
from db.models import Base, Event, Trial
from db.prepared import Part, Prepared

STUDIES, TRIALS, EVENTS = (Base.metadata.tables[name] for name in ("studies", "trials", "events"))

_NEXT: ReturningUpdate[int, datetime] = (
    update(STUDIES)
    .values(revision=STUDIES.c.revision + literal_column("1"), updated_at=now())
    .returning(STUDIES.c.revision, STUDIES.c.updated_at)
)
"""The step of what is no result and no failure: a parameter less is time less."""
_STEP_OF_ANY = _NEXT.values(
    results=STUDIES.c.results + bindparam("more_results"),
    merged=STUDIES.c.merged + bindparam("more_merged"),
    unspent=STUDIES.c.unspent + bindparam("more_unspent"),
    failing=case(
        (bindparam("more_results") > 0, 0), else_=STUDIES.c.failing + bindparam("more_failed")
    ),
    gpu_s=STUDIES.c.gpu_s + bindparam("more_gpu_s"),
)
_OF_STUDY: ColumnElement[int] = bindparam("of_study")
_STEP = _STEP_OF_ANY.where(STUDIES.c.id == _OF_STUDY)
_NOTE = insert(EVENTS)
_OWN = ("study_id", "trial_id", "attempt_number", "actor", "what", "detail")
"""What an event says beside its time."""
_ITS = tuple(f"its_{name}" for name in _OWN)
_NOTE_OF_TRIAL = Prepared(_NOTE, ("at", *_OWN))
_WRITE = update(TRIALS).where(TRIALS.c.id == bindparam("of_trial"))


def changed(
    session: Session,
    study_id: int,
    *,
    actor: str,
    what: str | None,
    trial: Trial | None = None,
    is_result: bool = False,
    is_failure: bool = False,
    **detail: Any,
) -> datetime:
    """Notes a change, gives the trial the study's new revision, and says when, by the database.

    Locks the study's row until the end of the transaction, so revisions are committed in order and
    `?after=` never misses one. The caller holds the trial's lock, or has just stored it. What else
    changed of the trial is written together with its revision, at the next flush.

    Args:
        what: name of the event; None for progress that is not worth a row.
        is_result: the completed trials are no longer the same; a row of failures ends.
        is_failure: the trial failed for good.
    """
    with session.no_autoflush:
        is_merged = trial is not None and trial.channel == "merged"
        revision, at = step(
            session,
            study_id,
            is_result=is_result,
            is_merged=is_result and is_merged,
            is_failure=is_failure,
            unspent=1 - trial.share if is_result and trial is not None else 0.0,
        )
        if trial is not None:
            trial.revision = revision
        if what is not None:
            number = None if trial is None else trial.attempt_number or None
            trial_id = None if trial is None else trial.id
            noted = _noted(_OWN, study_id, trial_id, number, actor, what, detail)
            session.execute(_NOTE, {"at": at, **noted})
    return at


def _noted(names: Sequence[str], *event: Any) -> dict[str, Any]:
    """What an event says, in the order of `_OWN`, by these names."""
    return dict(zip(names, event, strict=True))


def step(
    session: Session,
    study_id: int,
    *,
    is_result: bool = False,
    is_merged: bool = False,
    is_failure: bool = False,
    unspent: float = 0.0,
    gpu_s: float = 0.0,
) -> tuple[int, datetime]:
    """A study's next revision, and when it is, by the database. `changed` says what that locks.

    Args:
        is_merged: the result is of a merged model.
        unspent: share of a whole run that the result's run was not trained for.
        gpu_s: GPU-seconds of an attempt that has ended.
    """
    asked = _step_by(
        study_id,
        is_result=is_result,
        is_merged=is_merged,
        is_failure=is_failure,
        unspent=unspent,
        gpu_s=gpu_s,
    )
    revision, at = session.execute(_STEP, asked).one()
    return revision, at


def _step_by(
    study_id: int,
    *,
    is_result: bool,
    is_merged: bool = False,
    is_failure: bool = False,
    unspent: float = 0.0,
    gpu_s: float = 0.0,
) -> dict[str, Any]:
    return {
        "of_study": study_id,
        "more_results": int(is_result),
        "more_merged": int(is_merged),
        "more_failed": int(is_failure),
        "more_unspent": unspent,
        "more_gpu_s": gpu_s,
    }


def takes_all_at_once(session: Session) -> bool:
    """Whether the database makes several changes in one statement: PostgreSQL does."""
    dialect = session.dialect if isinstance(session, Part) else session.get_bind().dialect
    return dialect.name == "postgresql"


class TrialChange:
    """A kind of change of a trial that comes all the time, without its object: the study's step,
    the trial's columns, the event's row. On PostgreSQL they are one statement, so that the study is
    locked for as short as can be.

    Args:
        what: name of the event; None for none.
        at: column of the trial that says when; None for none.
        is_result: the trial is completed by it.
        columns: of the trial, with their values or bound parameters.
    """

    def __init__(
        self, what: str | None, at: str | None = None, /, *, is_result: bool = False, **columns: Any
    ) -> None:
        self._what, self._is_result = what, is_result
        self._step = _STEP_OF_ANY if is_result else _NEXT
        self._step_of_one = Prepared(self._step.where(STUDIES.c.id == _OF_STUDY))
        self._detail = {"state": columns["state"]} if "state" in columns else {}
        self._moment = () if at is None else (at,)
        moment: dict[str, Any] = {column: bindparam("at") for column in self._moment}
        self._columns = columns
        write = _WRITE.values(revision=bindparam("at_revision"), **moment, **columns)
        self._write = Prepared(write)
        self._at_once = Prepared(self.at_once())

    def at_once(
        self,
        *,
        of_study: ColumnElement[int] = _OF_STUDY,
        after: CTE | None = None,
        further: Callable[[CTE], Insert] | None = None,
    ) -> Select[Any]:
        """The change as one statement of PostgreSQL; it returns revision and time of the study's
        step, and the columns of `after`. Its parameters are those of `bound`.

        Args:
            after: a change of the attempt, which has to return a row: else nothing is done and
                returned. What it calls `gpu_s` is added to that of the study.
            further: rows that are stored with it, by the study's step.
        """
        step = self._step.where(STUDIES.c.id == of_study)
        if after is not None:
            step = step.where(exists(select(after)))
            if "gpu_s" in after.c:
                spent = select(after.c.gpu_s).scalar_subquery()
                step = step.values(gpu_s=STUDIES.c.gpu_s + spent)
        stepped = step.cte("step")
        revision, when = (
            select(c).scalar_subquery() for c in (stepped.c.revision, stepped.c.updated_at)
        )
        moment = dict.fromkeys(self._moment, when)
        write = _WRITE.values(revision=revision, **moment, **self._columns)
        parts = [write.where(exists(select(stepped))).cte("written")]
        if self._what is not None:
            named = zip(_ITS, _OWN, strict=True)
            event = [bindparam(its, type_=EVENTS.c[name].type) for its, name in named]
            noted = select(stepped.c.updated_at, *event)
            parts.append(insert(EVENTS).from_select(["at", *_OWN], noted).cte("noted"))
        if further is not None:
            parts.append(further(stepped).cte("further"))
        shown = [stepped.c.revision, stepped.c.updated_at]
        found = select(*shown)
        if after is not None:
            found = found.add_columns(*after.c).join_from(stepped, after, true())
        return found.add_cte(*parts)

    def bound(
        self,
        study_id: int,
        trial_id: int,
        *,
        attempt_number: int | None = None,
        actor: str = "",
        unspent: float = 0.0,
        gpu_s: float = 0.0,
    ) -> dict[str, Any]:
        """The parameters of `at_once`, but for those in `columns` and `after`.

        Args:
            unspent, gpu_s: of a result, as for `step`.
        """
        event = (study_id, trial_id, attempt_number, actor, self._what, self._detail)
        noted = {} if self._what is None else _noted(_ITS, *event)
        return self._asked_of_step(study_id, unspent, gpu_s) | noted | {"of_trial": trial_id}

    def _asked_of_step(self, study_id: int, unspent: float, gpu_s: float) -> dict[str, Any]:
        if not self._is_result:
            return {"of_study": study_id}
        return _step_by(study_id, is_result=True, unspent=unspent, gpu_s=gpu_s)

    def make(
        self,
        session: Session,
        study_id: int,
        trial_id: int,
        *,
        attempt_number: int | None = None,
        actor: str = "",
        unspent: float = 0.0,
        gpu_s: float = 0.0,
        **bound: Any,
    ) -> tuple[int, datetime]:
        """The study's new revision, and when, as of `step`. The caller holds the trial's lock.

        Args:
            unspent, gpu_s: of a result, as for `step`.
            bound: values of the parameters in `columns`.
        """
        if takes_all_at_once(session):
            asked = self.bound(
                study_id,
                trial_id,
                attempt_number=attempt_number,
                actor=actor,
                unspent=unspent,
                gpu_s=gpu_s,
            )
            revision, at = self._at_once.one(session, asked | bound)
            return revision, at
        stepped = self._asked_of_step(study_id, unspent, gpu_s)
        revision, at = self._step_of_one.one(session, stepped)
        when = {"at": at} if self._moment else {}
        self._write.run(session, {"of_trial": trial_id, "at_revision": revision} | when | bound)
        if self._what is not None:
            event = (study_id, trial_id, attempt_number, actor, self._what, self._detail)
            _NOTE_OF_TRIAL.run(session, {"at": at, **_noted(_OWN, *event)})
        return revision, at


def of_trial(session: Session, trial_id: int) -> list[Event]:
    """A trial's events, oldest first."""
    return list(session.scalars(select(Event).where(Event.trial_id == trial_id).order_by(Event.id)))
