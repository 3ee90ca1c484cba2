"""`modomodo data similarity`: how alike prepared datasets are, for a study's specification."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml  # type: ignore[import-untyped]
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modomodo.errors import CommandFailed, WrongUse
from modomodo.extras import need
from modomodo.study import JsonOption
from service.notation import alike

if TYPE_CHECKING:
    from trainer.rows import Row

TOLD = 0.005
"""A smaller similarity is none."""


def similarity(
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="FOLDER...",
            help="Prepared folders, two or more; name=FOLDER where a study calls it otherwise.",
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            help="Compare by this model instead of by statistics: the folder of a sentence, vision "
            "or vision-language model that transformers loads."
        ),
    ] = None,
    rows: Annotated[
        int, typer.Option(min=2, max=2000, help="Rows of each that are looked at.")
    ] = 200,
    out: Annotated[Path | None, typer.Option(help="Also write the YAML here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare prepared datasets: by words, answers and pictures, or by a model's vectors."""
    need("trainer")
    from trainer.domains import similarity as measured
    from trainer.domains.errors import DataError

    console = Console(stderr=True)
    try:
        names, datasets = _datasets(folders, rows)
        with console.status("compares"):
            if model is None:
                parts = measured.by_statistics(datasets)
            else:
                from trainer.domains.embedding import embedder  # torch: seconds

                parts = measured.by_model(datasets, embedder(model))
    except DataError as error:
        raise CommandFailed(str(error)) from error
    whole = measured.together(parts)
    pairs = {
        (names[a], names[b]): round(float(whole[a, b]), 2)
        for a, b in combinations(range(len(names)), 2)
        if whole[a, b] >= TOLD
    }
    text = yaml.safe_dump({alike.KEY: alike.nested(pairs)}, sort_keys=False)
    if out is not None:
        try:
            out.write_text(text)
        except OSError as error:
            raise CommandFailed(f"{out} cannot be written: {error.strerror}") from error
    if as_json:
        each = {name: part.round(4).tolist() for name, part in parts.items()}
        document = {"domains": names, "similarity": whole.round(4).tolist(), "parts": each}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    table = Table("", "", *parts, "similarity")
    order = sorted(combinations(range(len(names)), 2), key=lambda pair: -whole[pair])
    for a, b in order:
        values = [f"{part[a, b]:.2f}" for part in parts.values()]
        table.add_row(escape(names[a]), escape(names[b]), *values, f"{whole[a, b]:.2f}")
    Console().print(table)
    sys.stdout.write(text)


def _datasets(folders: Sequence[str], n: int) -> tuple[list[str], list[Sequence[Row]]]:
    """Names, and some rows of each.

    Raises:
        WrongUse: fewer than two, or two of one name.
        DataError: a folder has no prepared dataset, or one of a single row.
    """
    from trainer.domains.errors import DataError
    from trainer.domains.prepared import PreparedRows

    names, found = [], []
    for text in folders:
        name, equals, folder = ("", "", "") if Path(text).is_dir() else text.partition("=")
        prepared = PreparedRows(Path(folder if equals else text))
        some = prepared.subset(n)
        if len(some) < 2:
            raise DataError(f"{text}: two rows or more are wanted, and it has {len(some)}")
        names.append(name if equals else prepared.manifest.domain)
        found.append(some)
    if len(found) < 2:
        raise WrongUse("two prepared folders or more are wanted, to compare them")
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise WrongUse(f"two folders are called {doubles[0]!r}; call one otherwise, as name=FOLDER")
    if len(names) > alike.MOST:
        raise WrongUse(f"at most {alike.MOST} folders are compared; there are {len(names)}")
    return names, found
