"""Option `--similarity`: a file that says how alike domains are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from modomodo.errors import CommandFailed, WrongUse
from service.notation import alike

SimilarityOption = Annotated[
    Path | None,
    typer.Option(
        "--similarity",
        help="YAML of how alike domains are, as `modomodo data similarity --out` writes it.",
    ),
]


def read(path: Path) -> dict[str, dict[str, float]]:
    """The pairs of a file, as a study has them.

    Raises:
        CommandFailed: it cannot be read, or holds something else.
    """
    try:
        return alike.read(path.read_text())
    except (OSError, ValueError) as error:
        raise CommandFailed(f"{path}: {error}") from error


def pairs_of(path: Path | None, domains: Sequence[str]) -> dict[alike.Pair, float]:
    """The pairs of a file about these domains; none for no file.

    Raises:
        CommandFailed: it cannot be read, or holds something else.
        WrongUse: it says something of other domains, or what cannot be.
    """
    if path is None:
        return {}
    try:
        return alike.pairs(read(path), domains)
    except ValueError as error:
        raise WrongUse(f"--similarity {path}: {error}") from error
