"""`modomodo recipe …`: shipped recipes, their schema, and what one will do."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modomodo import mixtures
from modomodo.errors import CommandFailed, WrongUse
from modomodo.extras import need
from modomodo.study import JsonOption
from service.schemas import mean_mixture

if TYPE_CHECKING:
    from trainer.recipe import Recipe

app = typer.Typer(no_args_is_help=True)

RecipeArgument = Annotated[
    str, typer.Argument(metavar="FILE|NAME", help="A YAML or JSON file, or a shipped recipe.")
]
MixtureOption = Annotated[
    str | None, typer.Option("--mixture", help="Weights, as coco=0.5,lisa=0.5.")
]
DataOption = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="MODOMODO_DATA",
        file_okay=False,
        help="Folder of prepared datasets; recipes name folders in it.",
    ),
]
GIB = 2**30


@app.callback()
def _group() -> None:
    """Shipped recipes, their schema, and what one will do."""


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the recipes that come with the package."""
    from trainer import recipes

    about = {name: recipes.about(name) for name in recipes.names()}
    if as_json:
        _print_json([{"name": name, "about": text} for name, text in about.items()])
        return
    table = Table("name", "what it is")
    for name, text in about.items():
        table.add_row(name, escape(text))
    Console().print(table)


@app.command()
def schema() -> None:
    """Print the JSON schema of recipes."""
    from trainer.recipe import Recipe

    _print_json(Recipe.model_json_schema())


@app.command()
def show(what: RecipeArgument) -> None:
    """Print a recipe with all its keys, as JSON."""
    _print_json(open_recipe(what).model_dump(mode="json"))


@app.command()
def check(
    what: RecipeArgument,
    mixture: MixtureOption = None,
    phase: mixtures.PhaseOption = None,
    shares: mixtures.SharesOption = None,
    data: DataOption = Path(),
    gpus: Annotated[int, typer.Option(min=1, help="GPUs that share a step.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the order, where the recipe has none.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Say what a recipe will do, how far a mixture can reach, and the memory it expects."""
    recipe = open_recipe(what)
    schedule = mixtures.schedule(phase or [], shares)
    if mixture is not None and schedule:
        raise WrongUse("give --mixture, or each --phase of one, not both")
    weights = None if mixture is None else mixtures.parse(mixture)
    if schedule:
        weights = mean_mixture(schedule)
    need("trainer")
    from trainer.domains.errors import DataError
    from trainer.planning.plan import check as check_recipe
    from trainer.recipe import RecipeError

    try:
        found = check_recipe(recipe, weights, data, gpus=gpus, seed=seed, schedule=schedule)
    except (DataError, RecipeError) as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        _print_json(found)
        return
    console = Console()
    for line in found["does"]:
        console.print(escape(line), highlight=False)
    if found["reach"] is not None:
        reach = found["reach"]
        end = f"; {reach['exhausted']} runs out first" if reach["exhausted"] else ""
        console.print(
            f"\n[bold]reach[/] {reach['steps']:,} of {recipe.steps:,} steps{end}", highlight=False
        )
        for domain, samples in reach["samples"].items():
            size = reach["sizes"][domain]
            console.print(f"  {domain}: {samples:,} of {size:,} samples", highlight=False)
    console.print(f"\n[bold]memory[/] of one of {gpus} GPU(s), estimated", highlight=False)
    table = Table.grid(padding=(0, 2))
    for term, size in found["memory"].items():
        table.add_row(f"  {term}", f"{size / GIB:.2f} GiB")
    console.print(table, highlight=False)
    console.print(escape(found["memory_formula"]), style="dim", highlight=False)


def open_recipe(what: str) -> Recipe:
    """A recipe by name or file.

    Raises:
        CommandFailed: there is none, or it is wrong.
    """
    from trainer import recipes
    from trainer.recipe import RecipeError

    try:
        return recipes.load(what)
    except RecipeError as error:
        raise CommandFailed(str(error)) from error


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
