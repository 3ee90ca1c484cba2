"""Everything that is special about PostgreSQL.

A session that reads sees one state of the database, as on SQLite: by default every statement
would see another. A service that stops in the middle of a transaction (machine asleep, debugger)
loses it after a minute, so the rows it holds do not stay locked.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError, NoSuchModuleError

from db.errors import BadDatabase

CONNECTIONS = 40
"""At most, for each process: as many as a service has threads that answer calls."""

WRITERS = 4
"""Threads of a process that write at once. The writes of a study wait for each other anyway, at its
row. A thread that waits there holds a trial and a connection, and when it is woken it first waits
for the interpreter, which the others have: the row stays locked all the while."""

AT_ONCE = 16
"""Calls that wait for the disk together. Not in one transaction, in which a call would take its
trial after the study of the one before."""

UNFLUSHED = "-c synchronous_commit=off"
"""Option of connections whose commits do not wait for the disk: a study's row, at which its changes
line up, is locked until a commit has ended, and would be for as long as the disk takes."""

FLUSH = text("SELECT pg_logical_emit_message(true, 'modomodo', '')")
"""Writes something, and changes nothing: its commit brings all before it to the disk as well."""

MIGRATION = 0x6D6F646F
"""Number of the advisory lock of migrations."""

IDLE = 0
"""State of a connection without a transaction, as libpq numbers them."""

LOCK_TIMEOUT_S = 10
IDLE_IN_TRANSACTION_S = 60
CONNECT_TIMEOUT_S = 10

READING: dict[str, Any] = {
    "isolation_level": "REPEATABLE READ",
    "postgresql_readonly": True,
}
"""Options of an engine that only reads."""


def engine_for(url: URL, *further: str) -> Engine:
    """An engine on a server's database.

    Args:
        further: options of its connections.

    Raises:
        BadDatabase: the driver is not installed, or there is none of this name.
    """
    own = (
        f"-c lock_timeout={LOCK_TIMEOUT_S}s "
        f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_S}s"
    )
    # What the address itself says comes later, so it counts.
    options = " ".join([own, *further, *url.normalized_query.get("options", ())])
    arguments = {"connect_timeout": CONNECT_TIMEOUT_S, "options": options}
    try:
        engine = create_engine(
            url.difference_update_query(["options"]),
            hide_parameters=True,  # of errors: they may hold secrets, and errors are logged
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_use_lifo=True,
            connect_args=arguments,
        )
    except (ImportError, NoSuchModuleError) as error:
        raise BadDatabase(
            f"{url.drivername!r} cannot be used: {error}; give a URL like "
            "postgresql+psycopg://user@host/name, after pip install 'modomodo[postgres]'"
        ) from error
    event.listen(engine, "checkout", _refuse_ended)
    return engine


def _refuse_ended(connection: Any, record: Any, proxy: Any) -> None:
    """Has the pool open a new connection where the server ended this one while it lay idle.

    Its end waits in the socket, so no question is needed, which would cost each call three more
    ways to the server and back.

    Raises:
        DisconnectionError: the server ended it.
    """
    idle = select.poll()
    try:
        idle.register(connection.fileno(), select.POLLIN)
        has_ended = bool(idle.poll(0))
    except Exception as error:
        raise DisconnectionError(f"the connection is closed: {error}") from error
    if has_ended:
        raise DisconnectionError("the server ended the connection")


@contextmanager
def by_itself(driver: Any) -> Iterator[None]:
    """Has the one statement that is executed in here be a transaction, unless there is one already:
    that saves the two ways to the server that begin and end one.

    Args:
        driver: the driver's own connection.
    """
    if driver.pgconn.transaction_status != IDLE:
        yield
        return
    driver.autocommit = True
    try:
        yield
    finally:
        if not driver.closed:
            driver.autocommit = False


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
