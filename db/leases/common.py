"""The common case of taking and finishing a trial, in as few statements as that needs.

Nearly all of these calls are alike: a worker that holds nothing is given a run that nobody had
before it, and the holder of a live lease sends all scores at once. Each function here tells that
case from the others by what it reads; for any other it does nothing, and the general way
(`claim.py`, `results.py`) does the call, in the same transaction. Rows, events and answers are the
same by both ways, which tests/integration/db/test_common_case.py holds them to.

The objects returned belong to no session: they are made of what is known, and not read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import (
    CTE,
    JSON,
    Double,
    Insert,
    Select,
    bindparam,
    column,
    exists,
    func,
    insert,
    literal,
    select,
    true,
    type_coerce,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.orm.instrumentation import manager_of_class

from db import cost, events, queue, specs
from db.clock import now
from db.leases.tokens import token_hash
from db.measurements import Reading
from db.models import LIVE, Attempt, Base, Measurement, Trial
from db.prepared import Prepared
from db.sharing import Ability, lacking

_TABLES = Base.metadata.tables
STUDIES, TRIALS = _TABLES["studies"], _TABLES["trials"]
ATTEMPTS, MEASUREMENTS = _TABLES["attempts"], _TABLES["measurements"]

T = TypeVar("T", bound=Base)


@dataclass(frozen=True, slots=True)
class Given:
    """A trial that was given away.

    Attributes:
        spec: of its study, as stored.
        results: of its study.
    """

    trial: Trial
    attempt: Attempt
    spec: specs.Stored
    results: int


# --- taking a trial ---------------------------------------------------------------------------

_HOLDS_UNHEARD = exists().where(
    ATTEMPTS.c.worker == bindparam("who"),
    ATTEMPTS.c.state == LIVE,
    ATTEMPTS.c.heard_at.is_(None),
)


def _head(*, with_merged: bool) -> Select[Any]:
    """The trial of a study that the worker `who` is given next, where it holds none unheard."""
    head = (
        select(
            *TRIALS.c,
            STUDIES.c.owner,
            type_coerce(STUDIES.c.spec, JSON)["requires"],
            STUDIES.c.lease_s,
            STUDIES.c.results,
            *specs.columns(STUDIES),
        )
        .join_from(TRIALS, STUDIES, STUDIES.c.id == TRIALS.c.study_id)
        .where(queue.IS_DUE, STUDIES.c.name == bindparam("named"), ~_HOLDS_UNHEARD)
        .order_by(-TRIALS.c.priority, TRIALS.c.id)  # the words of the index
        .limit(1)
        .with_for_update(skip_locked=True, of=TRIALS)
    )
    return head if with_merged else head.where(TRIALS.c.channel == "full")


_HEADS = {is_so: Prepared(_head(with_merged=is_so)) for is_so in (False, True)}
_TRIAL = TRIALS.c.keys()
_N_TRIAL = len(_TRIAL)
_ATTEMPT = ATTEMPTS.c.keys()
_CLAIMED = events.TrialChange(
    "claimed",
    "started_at",
    state="running",
    attempt_number=1,
    finished_at=None,
    rests_until=None,
    kept_from=None,
    kept_from_until=None,
)
_OF_LEASE = ("trial_id", "number", "worker", "state", "token_hash", "gpus", "lease_s", "metrics")
_LEASE = Prepared(insert(ATTEMPTS), (*_OF_LEASE, "claimed_at", "until"))
_ITS_LEASE = tuple(f"lease_{name}" for name in _OF_LEASE)


def _lease_by(step: CTE) -> Insert:
    """The lease, by the study's step: its parameters are called as in `_ITS_LEASE`."""
    own = {
        name: bindparam(its, type_=ATTEMPTS.c[name].type)
        for name, its in zip(_OF_LEASE, _ITS_LEASE, strict=True)
    }
    until = type_coerce(step.c.updated_at, Double) + own["lease_s"]
    row = select(*own.values(), step.c.updated_at, until)
    return insert(ATTEMPTS).from_select([*_OF_LEASE, "claimed_at", "until"], row)


_CLAIMED_AT_ONCE = Prepared(_CLAIMED.at_once(further=_lease_by))


def claim(
    session: Session,
    worker: str,
    study: str,
    token: str,
    gpus: int,
    *,
    can_merge: bool,
    ability: Ability | None = None,
) -> Given | None:
    """Leases a study's next queued trial to a worker that was noted (`seen`), where that is a run
    that nobody had and the worker holds nothing unheard.

    Args:
        ability: what the worker has, where it is not known yet that it may have trials of this
            study (`sharing.turns`). Then only of a study without an owner.
    """
    row = _HEADS[can_merge].one_or_none(session, {"who": worker, "named": study})
    if row is None or row.attempt_number or row.channel != "full":
        return None
    owner, requires, lease_s, results, *spec = row[_N_TRIAL:]
    if ability is not None and (owner is not None or lacking(requires, ability)):
        return None
    lease = {
        "trial_id": row.id,
        "number": 1,
        "worker": worker,
        "state": "live",
        "token_hash": token_hash(token),
        "gpus": gpus,
        "lease_s": lease_s,
        "metrics": {},
    }
    change: dict[str, Any] = {"attempt_number": 1, "actor": f"worker {worker}"}
    if events.takes_all_at_once(session):
        asked = _CLAIMED.bound(row.study_id, row.id, **change)
        asked |= dict(zip(_ITS_LEASE, lease.values(), strict=True))
        revision, at = _CLAIMED_AT_ONCE.one(session, asked)
        lease |= _from(at, lease_s)
    else:
        revision, at = _CLAIMED.make(session, row.study_id, row.id, **change)
        lease |= _from(at, lease_s)
        _LEASE.run(session, lease)
    attempt = _made(Attempt, lease | dict.fromkeys(("step", "total_steps")))
    trial = _made(
        Trial,
        _named(row)
        | {"state": "running", "attempt_number": 1, "started_at": at, "finished_at": None}
        | {"revision": revision, "attempt": attempt, "measurements": []},
    )
    return Given(trial, attempt, tuple(spec), results)


# --- finishing it -----------------------------------------------------------------------------

_HELD = Prepared(
    select(*TRIALS.c, ATTEMPTS.c.id, ATTEMPTS.c.worker, *specs.columns(STUDIES))
    .join_from(TRIALS, STUDIES, STUDIES.c.id == TRIALS.c.study_id)
    .join(ATTEMPTS, ATTEMPTS.c.trial_id == TRIALS.c.id)
    .where(
        TRIALS.c.id == bindparam("of_trial"),
        TRIALS.c.state == "running",
        TRIALS.c.channel == "full",
        STUDIES.c.gpu_hours.is_(None),
        ATTEMPTS.c.token_hash == bindparam("hashed"),
        ATTEMPTS.c.state == LIVE,
    )
    .with_for_update(of=TRIALS)
)
# What was read of the attempt may be older than the lock of its trial, which was waited for. So
# that it is live, and that there are no scores yet, is asked here.
_ENDED = (
    update(ATTEMPTS)
    .where(
        ATTEMPTS.c.id == bindparam("of_attempt"),
        ATTEMPTS.c.state == LIVE,
        ~exists().where(MEASUREMENTS.c.trial_id == ATTEMPTS.c.trial_id),
    )
    .values(
        state="completed", ended_at=now(), heard_at=now(), result_hash=bindparam("hash_of_result")
    )
    .returning(cost.GPU_S.label("gpu_s"), *ATTEMPTS.c)
)
_COMPLETED = events.TrialChange(
    "completed",
    "finished_at",
    is_result=True,
    state="completed",
    artifacts=bindparam("with_artifacts"),
    wall_s=bindparam("took_s"),
    error=None,
    asked=None,
    asked_why=None,
)
_OF_SCORE = Reading.__slots__
_BESIDE_SCORE = ("trial_id", "attempt_number", "replicate", "is_superseded")
_SCORES = Prepared(insert(MEASUREMENTS), (*_BESIDE_SCORE, *_OF_SCORE))


def _scores_by(step: CTE) -> Insert:
    """The scores, of a list of readings as JSON."""
    sent = (
        func.json_to_recordset(bindparam("scores", type_=JSON))
        .table_valued(*(column(name, MEASUREMENTS.c[name].type) for name in _OF_SCORE))
        .render_derived(name="sent", with_types=True)
    )
    trial = bindparam("of_trial", type_=TRIALS.c.id.type)
    number = bindparam("numbered", type_=MEASUREMENTS.c.attempt_number.type)
    own = (trial, number, literal(""), literal(False), step.c.updated_at)
    rows = select(*own, *sent.c).join_from(step, sent, true())
    named = [*_BESIDE_SCORE, "at", *_OF_SCORE]
    return insert(MEASUREMENTS).from_select(named, rows)


_COMPLETED_AT_ONCE = Prepared(_COMPLETED.at_once(after=_ENDED.cte("ended"), further=_scores_by))
_ENDED_ALONE = Prepared(_ENDED)


@dataclass(slots=True)
class Run:
    """A run whose scores may come, locked.

    Attributes:
        row: of the trial, as it was found.
        attempt_id, worker: of the attempt that the token is of.
        spec: of its study, as stored.
        trial: as by `trials.get`, once it is completed.
    """

    row: Any
    attempt_id: int
    worker: str
    spec: specs.Stored
    trial: Trial | None = None


def held(session: Session, trial_id: int, token: str) -> Run | None:
    """The run of a live lease; None also where its study counts GPU-hours."""
    asked = {"of_trial": trial_id, "hashed": token_hash(token)}
    row = _HELD.one_or_none(session, asked)
    if row is None:
        return None
    attempt_id, worker, *spec = row[_N_TRIAL:]
    return Run(row, attempt_id, worker, tuple(spec))


def finish(
    session: Session,
    run: Run,
    readings: Sequence[Reading],
    digest: str,
    artifacts: dict[str, Any],
    wall_s: float | None,
) -> bool:
    """Completes a run that has no scores yet, and that the budget counts as a whole one, and says
    whether it could."""
    row = run.row
    if row.share < 1 or len({reading.key for reading in readings}) < len(readings):
        return False
    asked = {"of_attempt": run.attempt_id, "hash_of_result": digest}
    written: dict[str, Any] = {"with_artifacts": artifacts, "took_s": wall_s}
    change: dict[str, Any] = {"attempt_number": row.attempt_number, "actor": f"worker {run.worker}"}
    sent = [reading.fields() for reading in readings]
    scores = [
        {"trial_id": row.id, "attempt_number": row.attempt_number, **fields}
        | {"replicate": "", "is_superseded": False}
        for fields in sent
    ]
    if events.takes_all_at_once(session):
        asked |= written | _COMPLETED.bound(row.study_id, row.id, **change)
        asked |= {"numbered": row.attempt_number, "scores": sent}
        ended = _COMPLETED_AT_ONCE.one_or_none(session, asked)
        if ended is None:
            return False
        revision, at = ended.revision, ended.updated_at
    else:
        ended = _ENDED_ALONE.one_or_none(session, asked)
        if ended is None:
            return False
        if scores:
            _SCORES.run_each(session, scores)
        revision, at = _COMPLETED.make(
            session, row.study_id, row.id, gpu_s=ended.gpu_s, **change, **written
        )
    run.trial = _made(
        Trial,
        _named(row)
        | {"state": "completed", "finished_at": at, "artifacts": artifacts, "wall_s": wall_s}
        | {"error": None, "asked": None, "asked_why": None, "revision": revision}
        | {
            "attempt": _made(Attempt, {name: getattr(ended, name) for name in _ATTEMPT}),
            "measurements": [_made(Measurement, score) for score in scores],
        },
    )
    return True


# --- inside -----------------------------------------------------------------------------------


def _from(at: datetime, lease_s: float) -> dict[str, datetime]:
    """When a lease begins and ends."""
    return {"claimed_at": at, "until": at + timedelta(seconds=lease_s)}


def _named(row: Any) -> dict[str, Any]:
    """The columns of a trial in a row that begins with them."""
    return dict(zip(_TRIAL, row[:_N_TRIAL], strict=True))


def _made(kind: type[T], values: Mapping[str, Any]) -> T:
    """An object with these values, as one that was loaded: to set each takes ten times as long."""
    made: T = manager_of_class(kind).new_instance()
    vars(made).update(values)
    return made
