"""Alembic's entry: on the connection of `db.upgrade`, or on `MODOMODO_DATABASE_URL` by hand."""

from __future__ import annotations

import os
from typing import Any, Literal

from sqlalchemy import Connection

from alembic import context
from db.clock import Moment
from db.models import Base
from db.sessions import Database


def render_item(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Migrations name plain types: they must run the same when this code has changed."""
    return "sa.Double()" if kind == "type" and isinstance(item, Moment) else False


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_item=render_item,
        # SQLite cannot alter most of a table in place; alembic copies it then.
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    url = os.environ.get("MODOMODO_DATABASE_URL", "sqlite:///modomodo.db")
    with Database(url).engine.connect() as opened:
        migrate(opened)
