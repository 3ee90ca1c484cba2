"""The schema's revision: migrations only ever go through alembic."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from alembic import command
from db.errors import BadDatabase
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


def head() -> str | None:
    """The newest revision."""
    return ScriptDirectory.from_config(config()).get_current_head()


def upgrade(database: Database) -> None:
    """Brings a database to the newest revision."""
    settings = config()
    with database.engine.connect() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")


def prepare(database: Database) -> None:
    """Makes a database ready for use: the embedded one upgrades itself.

    Raises:
        BadDatabase: a server database is not at this version's revision, or any is beyond it.
    """
    at, newest = current(database), head()
    if at == newest:
        return
    known = {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}
    if at is not None and at not in known:
        raise BadDatabase(
            f"{database.url.render_as_string()} is at revision {at}, which this version does not "
            "know: it was used by a newer one; install that, or take another database"
        )
    if not database.is_embedded:
        raise BadDatabase(
            f"{database.url.render_as_string()} is at revision {at}, this version needs {newest}; "
            f"run `alembic upgrade head` with MODOMODO_DATABASE_URL set"
        )
    upgrade(database)
