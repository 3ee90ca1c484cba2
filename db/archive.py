"""A study as one JSON document, complete: to keep, and to move from one database to another.

What a row holds goes out and comes in as it is stored, instants as seconds since 1970, so nothing
is rounded on the way. Leases are among it: workers carry on with a service on the other database.
Only who proposes just now is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Double,
    Integer,
    MetaData,
    String,
    Table,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db import cost, models, owners, states, studies
from db.clock import Moment
from db.errors import BadArchive, StudyExists
from db.specs import Specification
from db.texts import storable, storable_throughout

FORMAT, VERSION = "modomodo study", 9
CHUNK = 500
CHANNELS = "^full(,step-[1-9][0-9]*)*(,merged)?$"
"""How a study's channels are written."""

PRESENT = {"proposer", "proposer_until"}
"""Columns that say what a running service does just now."""

COUNTED = {"attached", "merged", "unspent", "gpu_s"}
"""Columns that say what the trials say too: counted anew when they come in."""

ADDED = {"failing", "proposed_out", "gpu_hours", "channels", "early_stopping", "owner"}
"""Other columns of a study that older archives lack."""

RESTING = {"releases", "rests_until", "kept_from", "kept_from_until"}
"""Columns that say when a trial is given away again, and to whom."""


EDITED = {"edits", "created_as", "former_names"}
"""Columns that say what the study was before it was edited."""

PAUSING = {"stop_at", "asked", "asked_why", "share", "by_hand"}
"""Columns that say where a trial's run ends before its last step."""


def _plain(model: type[models.Base]) -> Table:
    """The model's table with instants as the numbers they are stored as."""
    columns = [
        Column(c.name, Double() if isinstance(c.type, Moment) else c.type)
        for c in model.__table__.columns
    ]
    return Table(model.__tablename__, _METADATA, *columns)


_METADATA = MetaData()
STUDIES = _plain(models.Study)
TRIALS = _plain(models.Trial)
ATTEMPTS = _plain(models.Attempt)
MEASUREMENTS = _plain(models.Measurement)
CURVE_POINTS = _plain(models.CurvePoint)
EVENTS = _plain(models.Event)
WORKERS = _plain(models.Worker)
PARTS = {"attempts": ATTEMPTS, "measurements": MEASUREMENTS, "curve": CURVE_POINTS}
"""What a trial's entry holds of other tables."""


LAST_MOMENT = 253_402_300_799.0
"""The end of the year 9999."""


def _kind(column: ColumnElement[Any]) -> Any:
    """What may stand in a column, as pydantic checks it."""
    if isinstance(column.type, Moment):
        return Annotated[float, Field(ge=0.0, le=LAST_MOMENT)]
    if isinstance(column.type, JSON | Specification):
        return Annotated[dict[str, Any], AfterValidator(storable_throughout)]
    if isinstance(column.type, String):
        length = column.type.length
        return Annotated[str, Field(max_length=length), AfterValidator(storable)]
    if isinstance(column.type, BigInteger):
        return Annotated[int, Field(ge=0, lt=2**62)]
    if isinstance(column.type, Integer):
        return Annotated[int, Field(ge=0, lt=2**31)]
    return column.type.python_type


def _row(
    model: type[models.Base], *, without: Iterable[str], more: dict[str, Any] | None = None
) -> type[BaseModel]:
    """What is checked of a row when it comes in: its columns, all of them, and what they hold."""
    fields: dict[str, Any] = {}
    for column in model.__table__.columns:
        if column.name in without:
            continue
        kind = _kind(column)
        fields[column.name] = (kind | None if column.nullable else kind, ...)
    return create_model(
        f"{model.__name__}Row",
        __config__=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False),
        **fields,
        **(more or {}),
    )


_Count = Annotated[int, Field(ge=0, lt=2**31)]
_Moment = Annotated[float, Field(ge=0.0, le=LAST_MOMENT)]

_StudyRow = _row(
    models.Study,
    without={"id", *PRESENT, *COUNTED, *EDITED, *ADDED},
    more={
        # Archives of version 3 have none.
        "failing": (_Count, 0),
        "proposed_out": (
            Annotated[str, Field(max_length=64), AfterValidator(storable)] | None,
            None,
        ),
        # Archives of version 4 have none.
        "gpu_hours": (Annotated[float, Field(gt=0.0)] | None, None),
        # Archives of version 6 have none.
        "channels": (Annotated[str, Field(pattern=CHANNELS)], "full"),
        # Archives of version 7 have none.
        "early_stopping": (bool, False),
        # Archives of version 8 have none.
        "owner": (Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]{0,63}$")] | None, None),
        "edits": (_Count, 0),
        "created_as": (
            Annotated[dict[str, Any], AfterValidator(storable_throughout)] | None,
            None,
        ),
        "former_names": (Annotated[str, Field(pattern=r"^((/[A-Za-z0-9][\w.-]{0,63})+/)?$")], ""),
    },
)
_AttemptRow = _row(
    models.Attempt,
    without={"id", "trial_id", "gpus"},
    # Archives of version 4 have none.
    more={"gpus": (Annotated[int, Field(ge=1, lt=2**31)], 1)},
)
_MeasurementRow = _row(models.Measurement, without={"id", "trial_id"})
_CurvePointRow = _row(models.CurvePoint, without={"id", "trial_id"})
_TrialRow = _row(
    models.Trial,
    without={"study_id", "id", "client_hash", "channel", "tags", "schedule", *RESTING, *PAUSING},
    more={
        "id": (Annotated[int, Field(ge=1, lt=2**30)], ...),  # others are still to be counted on
        # Archives of version 2 have none.
        "client_hash": (Annotated[str, Field(max_length=64)] | None, None),
        # Archives of version 3 have none.
        "releases": (_Count, 0),
        "rests_until": (_Moment | None, None),
        "kept_from": (Annotated[str, Field(max_length=200), AfterValidator(storable)] | None, None),
        "kept_from_until": (_Moment | None, None),
        # Archives of version 5 have none.
        "stop_at": (_Count | None, None),
        "asked": (Literal["pause", "stop"] | None, None),
        "asked_why": (Annotated[str, AfterValidator(storable)] | None, None),
        # Archives of version 6 have none.
        "channel": (Literal["full", "merged"], "full"),
        # Archives of version 7 have none.
        "share": (Annotated[float, Field(gt=0.0, le=1.0)], 1.0),
        "by_hand": (bool, False),
        # Archives of version 8 have none.
        "tags": (Annotated[str, AfterValidator(storable)], ""),
        "schedule": (
            Annotated[list[dict[str, Any]], AfterValidator(storable_throughout)] | None,
            None,
        ),
        "attempts": (list[_AttemptRow], ...),  # type: ignore[valid-type]
        "measurements": (list[_MeasurementRow], ...),  # type: ignore[valid-type]
        # Archives of version 1 have none.
        "curve": (list[_CurvePointRow], Field(default_factory=list)),  # type: ignore[valid-type]
    },
)
_EventRow = _row(
    models.Event, without={"id", "study_id", "trial_id"}, more={"trial": (int | None, ...)}
)
_WorkerRow = _row(models.Worker, without=())


class Archive(BaseModel):
    """The document. Trials stand by number, everything else in the order it came about."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: str = Field(pattern=f"^{FORMAT}$")
    version: int = Field(ge=1, le=VERSION)
    study: _StudyRow  # type: ignore[valid-type]
    trials: list[_TrialRow]  # type: ignore[valid-type]
    events: list[_EventRow]  # type: ignore[valid-type]
    """`trial` is the number of the trial that an event is about."""
    workers: list[_WorkerRow]  # type: ignore[valid-type]
    """Those that have held one of its trials."""


# --- out --------------------------------------------------------------------------------------


def dump(session: Session, name: str) -> dict[str, Any]:
    """The whole study as a JSON document.

    Raises:
        StudyNotFound: there is none of this name.
    """
    study_id = studies.get(session, name).id
    of_study = select(TRIALS.c.id).where(TRIALS.c.study_id == study_id)
    trials = _rows(session, select(TRIALS).where(TRIALS.c.study_id == study_id), TRIALS.c.number)
    parts = {
        key: _rows(session, select(table).where(table.c.trial_id.in_(of_study)), table.c.id)
        for key, table in PARTS.items()
    }
    events = _rows(session, select(EVENTS).where(EVENTS.c.study_id == study_id), EVENTS.c.id)
    names = sorted({attempt["worker"] for attempt in parts["attempts"]})
    workers = [
        row
        for start in range(0, len(names), CHUNK)
        for row in _rows(
            session,
            select(WORKERS).where(WORKERS.c.name.in_(names[start : start + CHUNK])),
            WORKERS.c.name,
        )
    ]
    numbers = {trial["id"]: trial["number"] for trial in trials}
    of_trial: dict[int, dict[str, list[Any]]] = {
        trial["id"]: {key: [] for key in PARTS} for trial in trials
    }
    for key, rows in parts.items():
        for row in rows:
            of_trial[row["trial_id"]][key].append(_without(row, "id", "trial_id"))
    (study,) = _rows(session, select(STUDIES).where(STUDIES.c.id == study_id), STUDIES.c.id)
    return {
        "format": FORMAT,
        "version": VERSION,
        "study": _without(study, "id", *PRESENT, *COUNTED),
        "trials": [_without(trial, "study_id") | of_trial[trial["id"]] for trial in trials],
        "events": [
            {"trial": numbers.get(event["trial_id"])}
            | _without(event, "id", "study_id", "trial_id")
            for event in events
        ],
        "workers": sorted(workers, key=lambda worker: str(worker["name"])),
    }


def _rows(session: Session, query: Any, order: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in session.execute(query.order_by(order)).mappings()]


def _without(row: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in keys}


# --- in ---------------------------------------------------------------------------------------


def load(session: Session, archive: Archive, spec: dict[str, Any]) -> int:
    """Stores an archived study; returns how many of its trials got another id.

    Trials keep their ids where these are free, so that workers that hold one carry on.

    Args:
        spec: its specification, checked and complete; the study is called as it says. Unless that
            is another name than it has, workers find its files by its first name as before.

    Raises:
        BadArchive: its rows contradict each other.
        StudyExists: the name is taken.
    """
    document = archive.model_dump()
    study = document["study"]
    if spec["name"] == study["name"]:
        spec = spec | {"name": study["spec"]["name"]}
    else:
        study["name"] = spec["name"]
    study["spec"] = spec
    if session.scalar(select(STUDIES.c.id).where(STUDIES.c.name == study["name"])) is not None:
        raise StudyExists(
            f"study {study['name']!r} is in this database already; import it under another name"
        )
    try:
        with session.begin_nested():
            return _store(session, document)
    except (DBAPIError, KeyError) as error:
        reason = error.orig if isinstance(error, DBAPIError) else f"no trial {error}"
        raise BadArchive(f"its rows contradict each other: {reason}") from error


def _store(session: Session, document: dict[str, Any]) -> int:
    trials = document["trials"]
    counted = {
        "attached": sum(t["origin"] == "attached" and t["channel"] == "full" for t in trials),
        "merged": sum(t["channel"] == "merged" and t["state"] in states.RESULTS for t in trials),
        "unspent": sum(1 - t["share"] for t in trials if t["state"] in states.RESULTS),
    }
    if document["study"]["owner"] is not None:
        owners.make(session, document["study"]["owner"])
    study_id = session.execute(
        insert(STUDIES).values(document["study"] | counted).returning(STUDIES.c.id)
    ).scalar_one()
    ids = _ids(session, [trial["id"] for trial in trials])
    by_number = {trial["number"]: new for trial, new in zip(trials, ids, strict=True)}
    parts = {
        key: [
            row | {"trial_id": new}
            for trial, new in zip(trials, ids, strict=True)
            for row in trial[key]
        ]
        for key in PARTS
    }
    rows = [
        _without(trial, *PARTS) | {"id": new, "study_id": study_id}
        for trial, new in zip(trials, ids, strict=True)
    ]
    events = [
        _without(event, "trial")
        | {
            "study_id": study_id,
            "trial_id": None if event["trial"] is None else by_number[event["trial"]],
        }
        for event in document["events"]
    ]
    known = set(session.scalars(select(WORKERS.c.name)))
    workers = [worker for worker in document["workers"] if worker["name"] not in known]
    for table, values in (
        (WORKERS, workers),
        (TRIALS, rows),
        *((PARTS[key], values) for key, values in parts.items()),
        (EVENTS, events),
    ):
        for start in range(0, len(values), CHUNK):
            session.execute(insert(table), values[start : start + CHUNK])
    cost.count_anew(session, study_id)
    return sum(new != trial["id"] for trial, new in zip(trials, ids, strict=True))


def _ids(session: Session, wanted: Sequence[int]) -> Sequence[int]:
    """The wanted ids if all are free, else new ones; no other trial gets them from now on."""
    if not wanted:
        return wanted
    is_server = session.get_bind().dialect.name == "postgresql"
    newest: int = session.execute(select(func.coalesce(func.max(TRIALS.c.id), 0))).scalar_one()
    taken = any(
        session.scalar(select(TRIALS.c.id).where(TRIALS.c.id.in_(wanted[i : i + CHUNK])).limit(1))
        for i in range(0, len(wanted), CHUNK)
    )
    chosen = range(newest + 1, newest + 1 + len(wanted)) if taken else wanted
    if is_server and taken:
        return list(session.scalars(_DRAW, {"n": len(wanted)}))
    if is_server:
        # Before the rows, since the sequence is not part of the transaction: others draw beyond.
        session.execute(_SKIP, {"last": max(wanted)})
    return chosen


_DRAW = text("SELECT nextval(pg_get_serial_sequence('trials', 'id')) FROM generate_series(1, :n)")
_SKIP = text(
    "SELECT setval(s, GREATEST(:last, nextval(s))) "
    "FROM (SELECT pg_get_serial_sequence('trials', 'id')::regclass AS s) AS found"
)
