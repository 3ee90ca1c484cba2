"""Time is the database's: no host's clock decides when a lease ends.

Instants are stored as seconds since 1970 (UTC, double precision), because "now plus the lease" is
then plain arithmetic in every database.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Dialect, Double, literal, select, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

HOUR_S = 3600.0


class Moment(TypeDecorator[datetime]):
    """An instant: seconds since 1970 in the database, an aware UTC datetime in Python."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> float | None:
        return None if value is None else value.timestamp()

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromtimestamp(float(value), tz=UTC)


class now(FunctionElement[datetime]):  # noqa: N801 - reads like SQL's own function
    """The database's current time."""

    type = Moment()
    inherit_cache = True


@compiles(now)
def _standard_now(element: now, compiler: SQLCompiler, **options: Any) -> str:
    # Not now(): that one stands still within a transaction that waits for a lock.
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


def after(
    seconds: ColumnElement[Any] | InstrumentedAttribute[float] | float,
    start: datetime | None = None,
) -> ColumnElement[datetime]:
    """The moment so many seconds after `start`, or after the database's current time."""
    since = type_coerce(now(), Double) if start is None else literal(start.timestamp(), Double)
    return type_coerce(since + seconds, Moment)


def read(session: Session) -> datetime:
    """The database's current time."""
    return session.execute(select(now())).scalar_one()
