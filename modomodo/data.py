"""`modomodo data …`: prepare datasets and look at them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import typer
from rich.color import Color
from rich.console import Console
from rich.markup import escape
from rich.segment import Segment, Segments
from rich.style import Style
from rich.table import Table

from modomodo import bars
from modomodo.errors import CommandFailed
from modomodo.extras import need
from modomodo.study import JsonOption, print_json

if TYPE_CHECKING:
    from trainer.domains.manifest import Manifest
    from trainer.rows import Row

app = typer.Typer(no_args_is_help=True)

COLUMNS = 32
"""Characters that a drawn image is wide."""


@app.callback()
def _group() -> None:
    """Prepare datasets and look at them."""


@app.command()
def prepare(
    what: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="A name (`modomodo data list`), your own .jsonl, .json or .parquet file or its "
            "folder, or a .yaml that maps columns.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; a killed prepare goes on there.")],
    source: Annotated[
        str | None,
        typer.Option(help="`hub` (default of names), or the folder of a local copy."),
    ] = None,
    coordinates: Annotated[
        Literal["thousandths", "pixels"],
        typer.Option(help="What boxes count in: thousandths for Qwen2-VL, pixels for Qwen2.5-VL."),
    ] = "thousandths",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Keep a fixed stratified subset of so many rows.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read a dataset once and write it in the form that training and evaluation read."""
    need("trainer")
    from trainer.catalog import open_dataset
    from trainer.domains.errors import DataError
    from trainer.domains.prepare import prepare as prepare_rows

    console = Console(stderr=True)
    try:
        with console.status(f"reads the revision of {escape(what)}"):
            dataset, reader = open_dataset(what, source)
        with bars.counting(console) as bar:
            task = bar.add_task(escape(dataset.name), total=reader.total)
            made = prepare_rows(
                dataset,
                reader,
                out,
                coordinates=coordinates,
                limit=limit,
                progress=lambda read, total, kept: bar.update(
                    task,
                    completed=read,
                    total=total,
                    description=f"{escape(dataset.name)}, {kept} kept",
                ),
            )
    except DataError as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        print_json(made)
        return
    _print_manifest(made)
    _print_wrong_rows(made)


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="A prepared folder.")],
    rows: Annotated[int, typer.Option("-n", "--rows", min=0, help="Samples to show.")] = 3,
    first: Annotated[int, typer.Option(min=0, help="Number of the first one.")] = 0,
    images: Annotated[
        Path | None, typer.Option(help="Also write the samples' images, boxes drawn, here.")
    ] = None,
    prompt: Annotated[
        Literal["tiny", "reasoning", "plain"], typer.Option(help="How to word the samples.")
    ] = "reasoning",
    as_json: JsonOption = False,
) -> None:
    """Print a prepared dataset's manifest and some of its samples, drawn into the terminal."""
    need("trainer")
    from trainer.domains.errors import DataError
    from trainer.domains.prepared import PreparedRows
    from trainer.prompts import STYLES, prompt_text

    try:
        prepared = PreparedRows(folder)
        samples = list(prepared[first : first + rows])
    except DataError as error:
        raise CommandFailed(str(error)) from error
    if images is not None:
        _write_images(samples, images)
    if as_json:
        shown = prepared.manifest.model_dump(mode="json")
        _print_json({"manifest": shown, "samples": [_plain(row) for row in samples]})
        return
    _print_manifest(prepared.manifest)
    console = Console()
    for row in samples:
        console.print(f"\n[bold]{escape(row.id)}[/]", highlight=False)
        if console.color_system:
            _draw(console, row)
        console.print(escape(prompt_text(row, STYLES[prompt])), highlight=False)
        console.print(f"[green]answer[/] {escape(row.answer)}", highlight=False)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the datasets that are known by name."""
    need("trainer")
    from trainer.catalog import DOMAINS, SOURCES

    if as_json:
        _print_json(
            [
                {
                    "name": source.name,
                    "use": "training" if source.name in DOMAINS else "benchmark",
                    "hub": source.hub,
                    "config": source.config,
                    "split": source.split,
                    "paper_rows": source.paper_rows,
                    "rule": source.rule,
                    "official": list(source.official),
                }
                for source in SOURCES.values()
            ]
        )
        return
    table = Table("name", "use", "from", "split", "rows", "rule")
    for source in SOURCES.values():
        table.add_row(
            source.name,
            "training" if source.name in DOMAINS else "benchmark",
            source.hub or "a local folder",
            source.split,
            f"{source.paper_rows:,}",
            source.rule,
        )
    Console().print(table)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _print_manifest(made: Manifest) -> None:
    table = Table.grid(padding=(0, 2))
    paper = "" if made.paper_rows is None else f" (the paper: {made.paper_rows:,})"
    subset = "" if made.subset is None else f", a stratified subset of {made.subset.of:,}"
    table.add_row("dataset", escape(made.name))
    table.add_row("from", escape(f"{made.origin.kind} {made.origin.name} {made.origin.split}"))
    table.add_row("revision", escape(made.origin.revision))
    table.add_row("rows", f"{made.rows:,} of {made.read:,} read{paper}{subset}")
    for reason, n in made.dropped.filters.items():
        table.add_row("filtered", f"{n:,} {reason}")
    for reason, n in made.dropped.bad.items():
        table.add_row("[red]wrong[/]", f"{n:,} {reason}")
    table.add_row("answers", _counts(made.answer_types))
    table.add_row("images a row", _counts(made.images))
    table.add_row("rules", ", ".join([made.rule, *made.official]))
    table.add_row("sha256", made.sha256)
    Console().print(table, highlight=False)


def _print_wrong_rows(made: Manifest) -> None:
    """The first of each reason by file and line; the manifest has them all."""
    console = Console()
    for reason, lines in made.dropped.shown().items():
        n = made.dropped.bad[reason]
        more = f", the first {len(lines)}" if n > len(lines) else ""
        console.print(f"\n[red]{escape(reason)}[/] ({n:,}{more})", highlight=False)
        for line in lines:
            console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{escape(name)}: {n:,}" for name, n in counts.items())


def _draw(console: Console, row: Row) -> None:
    """The row's images in half blocks: two pixels a character."""
    from trainer.domains.pictures import drawn

    for image in drawn(row):
        width = min(COLUMNS, image.width)
        height = max(2, 2 * round(image.height * width / image.width / 2))
        pixels = np.asarray(image.resize((width, height)))
        segments: list[Segment] = []
        for above, below in zip(pixels[::2], pixels[1::2], strict=True):
            segments += map(_two_pixels, above.tolist(), below.tolist())
            segments.append(Segment.line())
        console.print(Segments(segments))


def _two_pixels(above: Sequence[int], below: Sequence[int]) -> Segment:
    style = Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below))
    return Segment("▀", style)


def _write_images(rows: list[Row], folder: Path) -> None:
    from trainer.domains.pictures import drawn

    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        for k, image in enumerate(drawn(row)):
            image.save(folder / f"{number:03d}-{k}.png")  # ids are the data's: no file names


def _plain(row: Row) -> dict[str, object]:
    return {
        "id": row.id,
        "question": row.question,
        "answer": row.answer,
        "answer_type": row.answer_type,
        "choices": list(row.choices),
        "images": [list(image.size) for image in row.images],
        "stratum": row.stratum,
        "extra": dict(row.extra),
    }
