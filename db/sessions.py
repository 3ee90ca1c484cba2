"""Opening a database, and the two kinds of transaction: reading and writing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, sessionmaker

from db import clock, postgresql, sqlite
from db.errors import BadDatabase, DatabaseNotFound
from db.prepared import Part, raised
from db.turns import WriteTurns


@dataclass(frozen=True, slots=True)
class Failed:
    """One of several writes that came to nothing, and why."""

    error: Exception


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
        reading: dict[str, Any] = {}
        kind = sqlite if self.is_embedded else postgresql
        self.engine = kind.engine_for(self.url)
        self.writers = kind.WRITERS
        """Threads that write at once."""
        self.at_once = kind.AT_ONCE
        """Writes of several callers that wait for the disk together, at most."""
        self._turn = WriteTurns(self.writers)
        if not self.is_embedded:
            reading = postgresql.READING
        # Rows are read after the commit to be shown, so they keep what they had.
        self._reading = sessionmaker(
            self.engine.execution_options(**reading), expire_on_commit=False
        )
        self._writing = sessionmaker(
            self.engine.execution_options(is_writing=True), expire_on_commit=False
        )
        self._unflushed: Engine | None = None
        if not self.is_embedded:
            # An engine of its own: what a commit waits for is an option of the connection.
            self._unflushed = postgresql.engine_for(self.url, postgresql.UNFLUSHED)

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

    def write_each(self, works: Sequence[Callable[[Session], Any]]) -> list[Any]:
        """Does what several callers ask for, and waits for the disk once. One that raises is undone
        alone, and has a `Failed` in the place of what it would have returned.

        Raises:
            SQLAlchemyError: nothing was committed; or on PostgreSQL, the server went away, and
                nobody knows what it has kept.
        """
        if self._unflushed is not None:
            outcomes = self._each_alone(self._unflushed, works)
            if not all(isinstance(outcome, Failed) for outcome in outcomes):
                self._flush()
            return outcomes
        try:
            with self._turn(), self.engine.connect() as connection:
                writing = connection.execution_options(is_writing=True)
                with writing.begin():
                    return [self._in_part(writing, work) for work in works]
        except self.engine.dialect.loaded_dbapi.Error as error:
            raise raised(error, self.engine.dialect) from error

    def _in_part(self, writing: Connection, work: Callable[[Session], Any]) -> Any:
        """What becomes of a work in a part of SQLite's transaction, which can be undone alone."""
        driver: Any = writing.connection.driver_connection
        driver.execute("SAVEPOINT work")
        try:
            with Part(writing) as session:
                outcome = work(session)
                if session.in_transaction():
                    session.commit()
        except Exception as error:
            # On a full disk or a fault of it, SQLite undoes the whole transaction by itself.
            if not driver.in_transaction:
                raise
            driver.execute("ROLLBACK TO work")
            outcome = Failed(error)
        driver.execute("RELEASE work")
        return outcome

    def _each_alone(
        self, unflushed: Engine, works: Sequence[Callable[[Session], Any]]
    ) -> list[Any]:
        """What becomes of each work in a transaction of its own, of PostgreSQL."""
        outcomes: list[Any] = []
        while len(outcomes) < len(works):
            with unflushed.connect() as connection:
                driver: Any = connection.connection.driver_connection
                for work in works[len(outcomes) :]:
                    outcomes.append(self._alone(connection, work))
                    if driver.closed:
                        connection.invalidate()
                        break
        return outcomes

    def _alone(self, connection: Connection, work: Callable[[Session], Any]) -> Any:
        driver: Any = connection.connection.driver_connection
        try:
            with self._turn():
                try:
                    with Part(connection) as session:
                        outcome = work(session)
                        if session.in_transaction():
                            session.commit()
                    driver.commit()  # where no more than prepared statements were executed
                except BaseException:
                    if not driver.closed:
                        driver.rollback()
                    raise
        except connection.dialect.loaded_dbapi.Error as error:
            return Failed(raised(error, connection.dialect))
        except Exception as error:
            return Failed(error)
        return outcome

    def _flush(self) -> None:
        """Waits until all that was committed so far is on the server's disk."""
        with self.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(postgresql.FLUSH)

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
        if self._unflushed is not None:
            self._unflushed.dispose()


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
