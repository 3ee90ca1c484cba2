"""Files of tables, as `service/notation/table_text.py` reads them."""

from __future__ import annotations

import sys
from pathlib import Path

from modomodo.errors import CommandFailed
from service.notation import table_text
from service.notation.table_text import BadTable, Table

STDIN = Path("-")
"""Standard input, where a file is asked for."""


def read(path: Path) -> Table:
    """Reads a file, or standard input for `-`. Nothing at all is a table without columns.

    Raises:
        CommandFailed: not readable, or no table; says the line and what would be right.
    """
    name = named(path)
    try:
        return table_text.read(content(path), name)
    except BadTable as error:
        raise CommandFailed(str(error)) from error


def named(path: Path) -> str:
    """What messages call a file."""
    return "standard input" if path == STDIN else str(path)


def content(path: Path, most: int | None = None) -> bytes:
    """The bytes of a file, or of standard input for `-`.

    Args:
        most: of them that are taken; None for all there are.

    Raises:
        CommandFailed: not readable, or too large.
    """
    size = -1 if most is None else most + 1
    try:
        if path == STDIN:
            found = sys.stdin.buffer.read(size)
        else:
            with path.open("rb") as file:
                found = file.read(size)
    except OSError as error:
        raise CommandFailed(f"cannot read {named(path)}: {error.strerror or error}") from error
    if most is not None and len(found) > most:
        raise CommandFailed(
            f"{named(path)} is larger than {most / 2**20:.3g} MB; split it, or leave out columns "
            "that are neither weights nor scores"
        )
    return found
