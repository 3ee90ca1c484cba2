"""`modomodo study effects`: what more of each domain does to the scores, as a table."""

from __future__ import annotations

from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modomodo.connect import UrlOption, connect
from modomodo.study import JsonOption, StudyArgument, print_json
from modomodo.summary import mixture_text
from service.schemas import Prediction
from service.search.intervals import Z95
from service.study import points
from service.study.headline import trials


def effects(
    study: StudyArgument,
    surrogate: Annotated[
        str, typer.Option(help="Whose view it is: bayes-quadratic or gp.")
    ] = "bayes-quadratic",
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a tenth more of each domain does to the objective and to every benchmark."""
    with connect(url) as client:
        found = client.effects(study, surrogate)
        objective = client.study(study).objective.name
    if as_json:
        print_json(found)
        return
    rooms = {domain: points.room(room, found.step) for domain, room in found.room.items()}
    is_narrow = any(rooms.values())
    table = Table(
        "domain",
        escape(objective),
        *map(escape, found.benchmarks),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption="points of 100, ± 95% interval; bold where that leaves out 0"
        + ("; in brackets what the study allows" if is_narrow else ""),
    )
    for domain, change in found.objective.items():
        others = (by_domain[domain] for by_domain in found.benchmarks.values())
        room = rooms.get(domain)
        named = f"{domain} ({room})" if room else domain
        table.add_row(escape(named), *map(_text, (change, *others)))
    console = Console()
    console.print(
        f"{100 * found.step:.0f} points more of a domain, from the mixture of "
        f"{trials(found.trials)} on: {escape(mixture_text(found.start))}"
    )
    console.print(table)


def _text(change: Prediction) -> str:
    said = points.signed(change.mean, change.sd)
    return f"[bold]{said}[/]" if abs(change.mean) > Z95 * change.sd else said
