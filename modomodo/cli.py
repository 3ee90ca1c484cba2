"""`modomodo`: puts the commands together and turns known errors into one line and an exit code."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from modomodo import (
    data,
    data_similarity,
    database,
    edit,
    examples,
    hints,
    key,
    many_trials,
    owner,
    recipe,
    study,
    study_effects,
    tiny,
    trial,
    trial_curves,
    trial_import,
)
from modomodo.demo import demo
from modomodo.errors import CommandFailed
from modomodo.fit import fit
from modomodo.fleet import commands as fleet
from modomodo.openapi import openapi
from modomodo.score import score
from modomodo.serve import serve
from modomodo.suggest import suggest
from modomodo.train import rescore, train
from modomodo.worker import worker
from service.client import ServiceError, ServiceUnreachable
from service.plain_errors import plain


class _Plain(TyperGroup):
    """Says what is wrong with an option in plain words: Typer repeats pydantic's."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if isinstance(error.__cause__, ValidationError):
                found = error.__cause__.errors()[0]
                if error.message == found["msg"]:
                    error.message = plain(found)
            raise


app = typer.Typer(
    cls=_Plain,
    name="modomodo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        sys.stdout.write(f"modomodo {version('modomodo')}\n")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """Finds the best training-data mixture for RL post-training of multimodal models."""


app.command()(serve)
app.command()(worker)
app.command()(demo)
app.command()(suggest)
app.command()(fit)
app.command()(score)
app.command()(openapi)
app.command()(train)
app.command()(rescore)
edit.add_to(study.app)
study.app.command()(study_effects.effects)
many_trials.add_to(trial.app)
trial.app.command()(trial_curves.curves)
trial.app.command("import")(trial_import.import_)
app.add_typer(study.app, name="study", help="Create, read, change and export studies.")
app.add_typer(trial.app, name="trial", help="Add, import, read, tag, retry and cancel trials.")
app.add_typer(database.app, name="db", help="The tables of the service's database.")
app.add_typer(key.app, name="key", help="Who may call the service.")
app.add_typer(owner.app, name="owner", help="Teams that keys and studies belong to.")
app.add_typer(recipe.app, name="recipe", help="Shipped recipes; what a recipe will do.")
data.app.command()(data_similarity.similarity)
app.add_typer(data.app, name="data", help="Prepare datasets and look at them.")
app.add_typer(tiny.app, name="tiny", help="The built-in offline world.")
app.add_typer(fleet.app, name="fleet")
examples.add_to(app)


def main() -> None:
    """Exit code 0 done, 1 failed, 2 wrong use."""
    try:
        app()
    except (CommandFailed, ServiceError, ServiceUnreachable) as error:
        said = hints.in_words(error) if isinstance(error, ServiceError) else str(error)
        Console(stderr=True).print(f"[bold red]error:[/] {escape(said)}", highlight=False)
        sys.exit(error.exit_code if isinstance(error, CommandFailed) else 1)
