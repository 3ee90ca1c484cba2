"""Opening a database, and the two kinds of transaction: reading and writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Protocol

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, sessionmaker

from db import clock, sqlite
from db.errors import BadDatabase


class _Turn(Protocol):
    def __call__(self) -> AbstractContextManager[None]: ...


class Database:
    """One database by its URL (`sqlite:///file.db`, `postgresql+psycopg://...`).

    Raises:
        BadDatabase: the URL is not one.
    """

    def __init__(self, url: str) -> None:
        self.url = _parsed(url)
        self.is_embedded = self.url.get_backend_name() == "sqlite"
        """A file of the service's own, which it may upgrade without asking."""
        self.engine: Engine
        self._turn: _Turn
        if self.is_embedded:
            self.engine, self._turn = sqlite.engine_for(self.url), sqlite.WriteTurn()
        else:
            self.engine, self._turn = create_engine(self.url, pool_pre_ping=True), nullcontext
        # Rows are read after the commit to be shown, so they keep what they had.
        self._reading = sessionmaker(self.engine, expire_on_commit=False)
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

    def time(self) -> datetime:
        """The database's clock; also shows that the database answers."""
        with self.read() as session:
            return clock.read(session)

    def close(self) -> None:
        self.engine.dispose()


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:
        raise BadDatabase(
            f"{url!r} is not a database URL; give one like sqlite:///modomodo.db "
            "or postgresql+psycopg://user@host/name"
        ) from error
