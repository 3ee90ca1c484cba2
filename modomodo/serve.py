"""`modomodo serve`: the HTTP service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modomodo.database import opened
from modomodo.errors import CommandFailed
from modomodo.extras import need

if TYPE_CHECKING:
    from service.settings import Settings


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to bind; others than loopback need a key.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind; 0 takes a free one.")] = None,
    database: Annotated[
        str | None, typer.Option(help="Database URL, like sqlite:///modomodo.db.")
    ] = None,
) -> None:
    """Run the service. Options left out come from MODOMODO_HOST, MODOMODO_PORT,
    MODOMODO_DATABASE_URL, or are 127.0.0.1, 8765 and sqlite:///modomodo.db; an API key comes
    from MODOMODO_API_KEY only.
    """
    need("service")
    from pydantic import ValidationError

    from modomodo import logs, presets
    from service import server
    from service.plain_errors import plain
    from service.settings import Settings

    given: dict[str, Any] = {"host": host, "port": port, "database_url": database}
    try:
        settings = Settings(**{key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        reasons = [
            _named(item["loc"], given) + plain(item, repeats=False) for item in error.errors()
        ]
        raise CommandFailed("; ".join(reasons)) from error
    _check(settings)
    logs.configure()
    try:
        server.run(settings, presets.load())
    except server.CannotListen as error:
        raise CommandFailed(f"{error}; the line above says why") from error


def _named(place: Sequence[int | str], given: Mapping[str, object]) -> str:
    """What a person calls a setting: the option where it was given, else the variable."""
    if not place:
        return ""
    name = str(place[0])
    if given.get(name) is not None:
        return f"--{name.removesuffix('_url')}: "
    if name.isupper():  # called as other programs call it
        return f"{name}: "
    return f"MODOMODO_{name.upper()}: "


def _check(settings: Settings) -> None:
    """Opens the database once beforehand: troubles are better told in one line.

    Raises:
        CommandFailed: it cannot be opened, is not at this version's revision, or holds no key for a
            service that needs one.
    """
    from service.http.auth import Gate, NoKey

    with opened(settings.database_url, must_exist=False) as database:
        from db import upgrade

        upgrade.prepare(database)
        try:
            Gate(settings, database)
        except NoKey as error:
            raise CommandFailed(str(error)) from error
