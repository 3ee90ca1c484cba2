"""Opening a database, and the two kinds of transaction: reading and writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, sessionmaker

from db import clock, postgresql, sqlite
from db.errors import BadDatabase, DatabaseNotFound
from db.turns import WriteTurns


class Database:
    """One database by its URL (`sqlite:///file.db`, `postgresql+psycopg://...`).

    Args:
        must_exist: whether a SQLite file has to be there already: to look for something in a new
            one makes no sense, and leaves an empty file.

    Raises:
        BadDatabase: the URL is not one.
        DatabaseNotFound: there is no such file.
    """

    def __init__(self, url: str, must_exist: bool = False) -> None:
        self.url = _parsed(url)
        self.is_embedded = self.url.get_backend_name() == "sqlite"
        """A file of the service's own, which it may upgrade without asking."""
        file = sqlite.file_of(self.url) if self.is_embedded else None
        if must_exist and file is not None and not file.exists():
            raise DatabaseNotFound(f"there is no database at {file.absolute()}")
        self.engine: Engine
        reading: dict[str, Any] = {}
        if self.is_embedded:
            self.engine, self._turn = sqlite.engine_for(self.url), WriteTurns(sqlite.WRITERS)
        else:
            self.engine, self._turn = (
                postgresql.engine_for(self.url),
                WriteTurns(postgresql.WRITERS),
            )
            reading = postgresql.READING
        # Rows are read after the commit to be shown, so they keep what they had.
        self._reading = sessionmaker(
            self.engine.execution_options(**reading), expire_on_commit=False
        )
        self._writing = sessionmaker(
            self.engine.execution_options(is_writing=True), expire_on_commit=False
        )

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads, on one consistent state."""
        with self._reading() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction: committed at the end, rolled back when an error leaves it."""
        with self._turn(), self._writing.begin() as session:
            yield session

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """A connection for changing tables, which one process has at a time; the others wait."""
        if self.is_embedded:
            # One transaction, which begins by taking the whole file: between two migrations with
            # one each, another process would run the second as well.
            with self._turn(), self.engine.connect() as connection:
                writing = connection.execution_options(is_writing=True)
                with writing.begin():
                    yield writing
            return
        with self.engine.connect() as connection, postgresql.alone(connection):
            yield connection

    def time(self) -> datetime:
        """The database's clock; also shows that the database answers."""
        with self.read() as session:
            return clock.read(session)

    def close(self) -> None:
        self.engine.dispose()


def _parsed(url: str) -> URL:
    try:
        parsed = postgresql.plain(make_url(url))
    except ArgumentError:
        parsed = None
    # The text itself may hold a password, so it is not shown.
    if parsed is None or parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise BadDatabase(
            "that is no address of a database that can be used; give one like "
            "sqlite:///modomodo.db or postgresql+psycopg://user@host/name"
        )
    return parsed
