"""`modomodo trial curves`: how runs learned, side by side."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modomodo.connect import UrlOption, connect
from modomodo.study import JsonOption, StudyArgument, print_json
from modomodo.summary import UNITS, mixture_text, score_text
from service.study import learned
from service.study.learned import Learned


def curves(
    study: StudyArgument,
    number: Annotated[
        list[int], typer.Argument(min=1, max=2**31 - 1, help="Trials by their numbers.")
    ],
    metric: Annotated[
        str, typer.Option(help="What the runs reported, as reward, kl or reward/<domain>.")
    ] = learned.USUAL,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how runs learned: what they reported at first, at last, and over the last tenth."""
    with connect(url) as client:
        trials = [client.numbered(study, one) for one in dict.fromkeys(number)]
        found = [client.curve(trial.id) for trial in trials]
    if as_json:
        print_json(found)
        return
    table = Table("trial", "state", "Objective", "at first", "last tenth", "at last", "step",
                  "mixture", title=escape(metric), caption=UNITS)  # fmt: skip
    for trial, curve in zip(trials, found, strict=True):
        table.add_row(
            str(trial.number),
            trial.state.replace("_", " "),
            score_text(trial.scores.objective),
            *_numbers(learned.learned(curve, metric)),
            mixture_text(trial.mixture),
        )
    Console().print(table)
    known = sorted({name for curve in found for name in curve.names})
    if known and metric not in known:
        Console().print(
            f"none of them reported {metric}; there are {', '.join(known)}", markup=False
        )


def _numbers(found: Learned | None) -> tuple[str, str, str, str]:
    if found is None:
        return ("–", "–", "–", "–")
    return (f"{found.first:.3g}", f"{found.late:.3g}", f"{found.last:.3g}", str(found.step))
