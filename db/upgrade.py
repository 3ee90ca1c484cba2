"""The schema's revision: migrations only ever go through alembic."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection

from alembic import command
from db.errors import BadDatabase
from db.models import Base
from db.sessions import Database


def scripts() -> Path:
    """The migrations: inside the package when it is installed, else in the checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "migrations", here.parent / "alembic"):
        if (folder / "env.py").is_file():
            return folder
    raise BadDatabase(f"no migrations beside {here}: the installation is incomplete")


def config(url: str | None = None) -> Config:
    """Alembic's configuration, without an ini file."""
    settings = Config()
    settings.set_main_option("script_location", str(scripts()))
    if url is not None:
        settings.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return settings


def current(database: Database) -> str | None:
    """The revision a database is at; None before the first."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


@cache
def head() -> str | None:
    """The newest revision; the migrations are read once a process."""
    return ScriptDirectory.from_config(config()).get_current_head()


def upgrade(database: Database, revision: str = "head") -> None:
    """Brings a database to a revision, the newest unless said. Several may do so at once.

    Raises:
        BadDatabase: it is at a revision that this version does not know.
    """
    _refuse_unknown(database, current(database))
    settings = config()
    with database.alone() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, revision)


def prepare(database: Database) -> None:
    """Makes a database ready for use: the embedded one upgrades itself.

    Raises:
        BadDatabase: a server database is not at this version's revision, or any is beyond it.
    """
    at, newest = current(database), head()
    if at == newest:
        return
    _refuse_unknown(database, at)
    if not database.is_embedded:
        where = "empty" if at is None else f"at revision {at}"
        raise BadDatabase(
            f"{database.url.render_as_string()} is {where}, this version needs {newest}; back it "
            "up, then run `modomodo db upgrade --database URL` (or set MODOMODO_DATABASE_URL)"
        )
    upgrade(database)


def differences(database: Database) -> list[str]:
    """How the tables differ from what the models say, each in words; none for a sound database."""
    with database.engine.connect() as connection, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*expression-based index")
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = [_in_words(change) for change in compare_metadata(context, Base.metadata)]
        if database.is_embedded:
            found += [f"add index: {name}" for name in sorted(_untold_indexes(connection))]
    return found


def _untold_indexes(connection: Connection) -> set[str]:
    """Indexes over expressions that a SQLite file lacks; alembic passes over these there."""
    needed = {
        str(index.name)
        for table in Base.metadata.tables.values()
        for index in table.indexes
        if not all(isinstance(part, Column) for part in index.expressions)
    }
    there = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'index'")
    return needed - set(there.scalars())


def _in_words(change: Any) -> str:
    # Changes of one column come in a list of their own.
    if isinstance(change, list):
        return "; ".join(map(_in_words, change))
    what, *where = change
    return f"{what.replace('_', ' ')}: {', '.join(str(x) for x in where if x is not None)}"


def _refuse_unknown(database: Database, at: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}
    if at is not None and at not in known:
        raise BadDatabase(
            f"{database.url.render_as_string()} is at revision {at}, which this version does not "
            "know: it was used by a newer one; install that, or take another database"
        )
