"""What is worked out once in a process of tests, and not again in each of them."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import sqlalchemy
import typer.testing
from sqlalchemy import Engine

STATEMENTS = 5000
"""More than the service has: none is compiled twice."""


def commands() -> None:
    """From now on the commands of a command line are made once, which takes longer than most of
    them do."""
    typer.testing._get_command = functools.cache(typer.testing._get_command)


def statements(kind: ModuleType, url: str) -> None:
    """From now on all databases of a kind (`db.sqlite`, `db.postgresql`) share what they compile,
    as one does that is open for long. That belongs to a dialect, so they share that too.

    Args:
        url: a database of that kind, to ask once what it can do.
    """
    asked = sqlalchemy.create_engine(url, query_cache_size=STATEMENTS)
    asked.connect().close()
    asked.dispose()

    def create(*arguments: Any, **options: Any) -> Engine:
        engine = sqlalchemy.create_engine(*arguments, **options)
        engine.dialect = engine.pool._dialect = asked.dialect
        engine._compiled_cache = asked._compiled_cache
        return engine

    kind.create_engine = create
