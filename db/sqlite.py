"""Everything that is special about SQLite.

WAL lets readers go on beside the writer; `synchronous=FULL` makes an answered result survive a
power cut; `BEGIN IMMEDIATE` takes the write lock at once, since a transaction that first reads
and then writes fails with "database is locked" however long it waits.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql.compiler import SQLCompiler

from db.clock import now

BUSY_TIMEOUT_S = 30.0
"""How long a statement waits for another process's write."""

WRITERS = 1
"""Threads of a process that write at once. SQLite lets only one, but those that wait for it look
again and again after growing pauses; where they wait for a turn instead, it is handed over at once.
"""

AT_ONCE = 64
"""Calls that are committed together: a commit waits for the disk, of however many. Not all that
wait, so that the first of them are answered."""


@compiles(now, "sqlite")
def _sqlite_now(element: now, compiler: SQLCompiler, **options: Any) -> str:
    # To about 0.04 ms. `unixepoch('subsec')` would read better but needs SQLite 3.42.
    return "((julianday('now') - 2440587.5) * 86400.0)"


def file_of(url: URL) -> Path | None:
    """The file that a URL names; None where the database is in memory."""
    name = url.database or ":memory:"
    if "uri" in url.query:  # sqlite:///file:NAME?uri=true
        name = name.removeprefix("file:")
    return None if name == ":memory:" or url.query.get("mode") == "memory" else Path(name)


def engine_for(url: URL) -> Engine:
    """An engine on a SQLite file, which need not exist yet."""
    file = file_of(url)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        poolclass=QueuePool,
        hide_parameters=True,  # of errors: they may hold secrets, and errors are logged
        pool_size=64,
        max_overflow=64,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )

    # SQLAlchemy compiles these anew for each name, which takes longer than running them.
    for done, said in (
        ("do_savepoint", "SAVEPOINT"),
        ("do_release_savepoint", "RELEASE SAVEPOINT"),
        ("do_rollback_to_savepoint", "ROLLBACK TO SAVEPOINT"),
    ):
        setattr(engine.dialect, done, partial(_at_savepoint, said))

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, record: Any) -> None:
        # The driver opens no transactions of its own: `_on_begin` does.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        is_writing = connection.get_execution_options().get("is_writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")

    return engine


def _at_savepoint(said: str, connection: Connection, name: str) -> None:
    connection.exec_driver_sql(f"{said} {name}")
