"""`modomodo owner …`: teams that keys and studies belong to."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modomodo.connect import UrlOption, connect
from modomodo.errors import problems
from modomodo.study import JsonOption, print_json
from service.schemas import Owner

app = typer.Typer(no_args_is_help=True)

OwnerArgument = Annotated[str, typer.Argument(help="Name of the owner.")]


@app.command("list")
def list_(url: UrlOption = None, as_json: JsonOption = False) -> None:
    """List owners, with the GPU-hours that each may use and has used."""
    with connect(url) as client:
        found = client.owners()
    if as_json:
        print_json(found)
        return
    table = Table("owner", "studies", "GPU-hours used", "of", "running")
    for owner in found:
        table.add_row(
            escape(owner.name),
            str(owner.studies),
            f"{owner.used:,.1f}",
            _limit(owner),
            f"{owner.running:,.1f}",
        )
    Console().print(table)


@app.command("set")
def set_(
    owner: OwnerArgument,
    gpu_hours: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1e9, help="That its studies may use, all together; running trials go on."
        ),
    ] = None,
    no_limit: Annotated[
        bool, typer.Option("--no-limit", help="They may use as many as they like.")
    ] = False,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how many GPU-hours an owner may use; makes one that there is not yet."""
    if (gpu_hours is None) != no_limit:
        raise typer.BadParameter("give either --gpu-hours or --no-limit")
    with connect(url) as client:
        found = client.limit_owner(owner, gpu_hours)
    if as_json:
        print_json(found)
        return
    limit = "as many as it likes" if found.gpu_hours is None else f"{_limit(found)} in all"
    Console().print(
        f"owner [bold]{escape(found.name)}[/] has used {found.used:,.1f} GPU-hours, and may use "
        f"{limit}"
    )


@app.command()
def give(
    owner: OwnerArgument,
    study: Annotated[str, typer.Argument(help="Name of the study.")],
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a study to an owner, with what it has cost so far."""
    try:
        with connect(url) as client:
            found = client.give_study(study, owner)
    except ValidationError as error:
        raise typer.BadParameter(problems(error)) from error
    if as_json:
        print_json(found)
    else:
        Console().print(f"study [bold]{escape(found.name)}[/] belongs to {escape(owner)}")


@app.command()
def release(
    study: Annotated[str, typer.Argument(help="Name of the study.")],
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a study from its owner: it belongs to none, and any key without one may change it."""
    with connect(url) as client:
        found = client.give_study(study, None)
    if as_json:
        print_json(found)
    else:
        Console().print(f"study [bold]{escape(found.name)}[/] belongs to no owner")


def _limit(owner: Owner) -> str:
    return "no limit" if owner.gpu_hours is None else f"{owner.gpu_hours:,.6g}"
