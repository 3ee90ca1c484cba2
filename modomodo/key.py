"""`modomodo key …`: who may call the service."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from modomodo.database import HERE, DatabaseOption, opened

app = typer.Typer(no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of the key: whose it is, or what for.")]


class Scope(StrEnum):
    """What a key may do: each what those before it may."""

    READ = "read"
    WORKER = "worker"
    ADMIN = "admin"


@app.command()
def create(
    name: NameArgument,
    scope: Annotated[
        Scope,
        typer.Option(help="read: look; worker: take and finish trials too; admin: everything."),
    ],
    owner: Annotated[
        str | None,
        typer.Option(
            help="Team that it belongs to: it changes that one's studies alone, and its workers "
            "serve them alone. Without one: all."
        ),
    ] = None,
    database: DatabaseOption = HERE,
) -> None:
    """Make a key and print it, this once. From the first key on, every call needs one."""
    with opened(database, must_exist=False) as found:
        from db import keys, upgrade

        upgrade.prepare(found)
        with found.write() as session:
            key = keys.create(session, name, scope.value, owner)
    sys.stdout.write(key + "\n")


@app.command("list")
def list_(
    database: DatabaseOption = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """List keys by name, without the keys themselves."""
    with opened(database) as found:
        from db import keys, upgrade

        upgrade.prepare(found)
        with found.read() as session:
            shown = [
                {
                    "name": key.name,
                    "scope": key.scope,
                    "owner": key.owner,
                    "starts_with": f"{keys.START}_{key.prefix}_",
                    "created_at": key.created_at.isoformat(),
                    "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
                }
                for key in keys.everyone(session)
            ]
    if as_json:
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
        return
    table = Table("name", "scope", "owner", "starts with", "made", "revoked")
    for row in shown:
        table.add_row(*(row[k] or "" for k in row))
    Console().print(table)


@app.command()
def revoke(name: NameArgument, database: DatabaseOption = HERE) -> None:
    """Make a key worthless, for good; running services notice within 2 seconds."""
    with opened(database) as found:
        from db import keys, upgrade

        upgrade.prepare(found)
        with found.write() as session:
            keys.revoke(session, name)
        with found.read() as session:
            is_last = not keys.any_valid(session)
    Console().print(f"key {name} is revoked")
    if is_last:
        Console(stderr=True).print(
            "It was the last one: nobody is let in until there is another (`modomodo key create`)."
        )
