"""`modomodo`: puts the commands together and turns known errors into one line and an exit code."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from modomodo import data, db, key, recipe, study, tiny, trial
from modomodo.demo import demo
from modomodo.errors import CommandFailed
from modomodo.fit import fit
from modomodo.openapi import openapi
from modomodo.score import score
from modomodo.serve import serve
from modomodo.suggest import suggest
from modomodo.train import rescore, train
from modomodo.worker import worker
from trainer.client import ServiceError, ServiceUnreachable

app = typer.Typer(
    name="modomodo",
    help="Finds the best training-data mixture for RL post-training of multimodal models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(worker)
app.command()(demo)
app.command()(suggest)
app.command()(fit)
app.command()(score)
app.command()(openapi)
app.command()(train)
app.command()(rescore)
app.add_typer(study.app, name="study", help="Create, read and export studies.")
app.add_typer(trial.app, name="trial", help="Add, read, retry and cancel trials.")
app.add_typer(db.app, name="db", help="The tables of the service's database.")
app.add_typer(key.app, name="key", help="Who may call the service.")
app.add_typer(recipe.app, name="recipe", help="Shipped recipes; what a recipe will do.")
app.add_typer(data.app, name="data", help="Prepare datasets and look at them.")
app.add_typer(tiny.app, name="tiny", help="The built-in offline world.")


def main() -> None:
    """Exit code 0 done, 1 failed, 2 wrong use."""
    try:
        app()
    except (CommandFailed, ServiceError, ServiceUnreachable) as error:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        sys.exit(error.exit_code if isinstance(error, CommandFailed) else 1)
