"""`modomodo db …`: the tables of the service's database."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from modomodo.errors import CommandFailed
from modomodo.extras import need

if TYPE_CHECKING:
    from db.sessions import Database

app = typer.Typer(no_args_is_help=True)

DatabaseOption = Annotated[
    str,
    typer.Option(
        "--database", envvar="MODOMODO_DATABASE_URL", help="Database URL, like the service's."
    ),
]
HERE = "sqlite:///modomodo.db"


@app.command()
def upgrade(database: DatabaseOption = HERE) -> None:
    """Bring the tables to this version's revision. Nothing stored is lost; back up first."""
    with opened(database, must_exist=False) as found:
        from db import upgrade as migrations

        before = migrations.current(found)
        migrations.upgrade(found)
        after = migrations.current(found)
    was = "" if before == after else f", was {before or 'empty'}"
    typer.echo(f"at revision {after}{was}")


@app.command()
def current(
    database: DatabaseOption = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Show the revision of the tables, and the one that this version needs."""
    with opened(database) as found:
        from db import upgrade as migrations

        at, needed = migrations.current(found), migrations.head()
    if as_json:
        sys.stdout.write(json.dumps({"current": at, "needed": needed}) + "\n")
    else:
        typer.echo(f"at revision {at or 'none'}, this version needs {needed}")


@app.command()
def check(database: DatabaseOption = HERE) -> None:
    """Fail unless the tables are just what this version needs."""
    with opened(database) as found:
        from db import upgrade as migrations

        at, needed = migrations.current(found), migrations.head()
        if at != needed:
            raise CommandFailed(
                f"at revision {at or 'none'}, this version needs {needed}: "
                "run `modomodo db upgrade`"
            )
        different = migrations.differences(found)
    if different:
        raise CommandFailed(f"the tables were changed by hand: {'; '.join(different)}")
    typer.echo(f"at revision {at}, as this version needs it")


@contextmanager
def opened(url: str, must_exist: bool = True) -> Iterator[Database]:
    """The database at a URL; its troubles end the command in one line.

    Args:
        must_exist: whether a SQLite file has to be there, or may be made.

    Raises:
        CommandFailed: it cannot be used, or has no study of the name that was asked for.
    """
    need("service")
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    from db.errors import DatabaseNotFound, StorageError, StudyNotFound
    from db.sessions import Database

    try:
        database = Database(url, must_exist)
        try:
            yield database
        finally:
            database.close()
    except StudyNotFound as error:
        where = make_url(url).render_as_string(hide_password=True)
        raise CommandFailed(
            f"{error} in the database {where}; --database or MODOMODO_DATABASE_URL name another"
        ) from error
    except DatabaseNotFound as error:
        raise CommandFailed(f"{error}; --database or MODOMODO_DATABASE_URL name another") from error
    except StorageError as error:
        raise CommandFailed(str(error)) from error
    except (SQLAlchemyError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise CommandFailed(f"cannot use the database: {reason}") from error
