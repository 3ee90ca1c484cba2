"""`modomodo tiny …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from modomodo import bars
from modomodo.extras import need

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The built-in offline world."""


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder to write the model into.")] = Path("tiny-base"),
    steps: Annotated[
        int | None, typer.Option(min=1, help="Warm-up steps; default: those of the shipped base.")
    ] = None,
) -> None:
    """Makes the base model from nothing: tokenizer, random weights, supervised warm-up."""
    need("trainer")
    from trainer.tiny.build import build as build_base

    console = Console(stderr=True)
    with bars.counting(console) as bar:
        task = bar.add_task("warm-up", total=steps)
        build_base(
            out,
            steps=steps,
            progress=lambda done, total, loss: bar.update(
                task, completed=done, total=total, description=f"warm-up, loss {loss:.3f}"
            ),
        )
    console.print(f"base model written to {out}")
