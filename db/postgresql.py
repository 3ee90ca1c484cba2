"""Everything that is special about PostgreSQL.

A session that reads sees one state of the database, as on SQLite: by default every statement
would see another. A service that stops in the middle of a transaction (machine asleep, debugger)
loses it after a minute, so the rows it holds do not stay locked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import NoSuchModuleError

from db.errors import BadDatabase

CONNECTIONS = 40
"""At most, for each process: as many as a service has threads that answer calls."""

MIGRATION = 0x6D6F646F
"""Number of the advisory lock of migrations."""

LOCK_TIMEOUT_S = 10
IDLE_IN_TRANSACTION_S = 60
CONNECT_TIMEOUT_S = 10

READING: dict[str, Any] = {
    "isolation_level": "REPEATABLE READ",
    "postgresql_readonly": True,
}
"""Options of an engine that only reads."""


def engine_for(url: URL) -> Engine:
    """An engine on a server's database.

    Raises:
        BadDatabase: the driver is not installed, or there is none of this name.
    """
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S}
    if "options" not in url.query:
        arguments["options"] = (
            f"-c lock_timeout={LOCK_TIMEOUT_S}s "
            f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_S}s"
        )
    try:
        return create_engine(
            url,
            pool_pre_ping=True,
            pool_size=CONNECTIONS,
            max_overflow=0,
            connect_args=arguments,
        )
    except (ImportError, NoSuchModuleError) as error:
        raise BadDatabase(
            f"{url.drivername!r} cannot be used: {error}; give a URL like "
            "postgresql+psycopg://user@host/name, after pip install 'modomodo[postgres]'"
        ) from error


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """Waits until no other session is in here, which may take as long as a migration."""
    connection.exec_driver_sql("SET lock_timeout = 0")
    connection.exec_driver_sql(f"SELECT pg_advisory_lock({MIGRATION})")
    connection.commit()
    try:
        yield
    finally:
        # The lock is the connection's, which goes back to the pool.
        connection.rollback()
        connection.exec_driver_sql(f"SELECT pg_advisory_unlock({MIGRATION})")
        connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'")
        connection.commit()


def plain(url: URL) -> URL:
    """`postgresql://` and `postgres://` as addresses for the driver that comes with us."""
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    return url
