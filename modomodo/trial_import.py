"""`modomodo trial import`: finished runs from a table, all of them or none."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from modomodo import tables
from modomodo.connect import UrlOption, connect
from modomodo.errors import CommandFailed
from modomodo.study import JsonOption, StudyArgument
from modomodo.trial import TagsOption
from service.notation.table_text import BadTable
from service.schemas import RunImport, TrialsImported
from service.search.counts import counted
from service.study import run_outcome, run_table
from service.study.run_outcome import Line, Outcome

SHOWN = 10
"""Lines of each kind that are told one by one."""


def import_(
    study: StudyArgument,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV with the columns of `study export`, or a column w_<domain> for each weight "
            "and one for each benchmark; - reads standard input.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be taken, and what not and why.")
    ] = False,
    tag: TagsOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add finished runs from a table, all or none. The same file again adds nothing."""
    content = tables.content(file, run_table.MOST_BYTES)
    with connect(url) as client:
        spec = client.study(study)
        try:
            table = run_table.read(spec, content, tables.named(file), tag or [])
        except BadTable as error:
            raise CommandFailed(str(error)) from error

        def take(runs: Sequence[RunImport], is_dry: bool) -> TrialsImported:
            return client.import_trials(study, runs, dry_run=is_dry)

        outcome = run_outcome.imported(table, take, dry_run=dry_run)
    if as_json:
        sys.stdout.write(json.dumps(_document(outcome, dry_run), indent=2) + "\n")
    else:
        _print(outcome, study, dry_run)
    if outcome.n_wrong:
        raise typer.Exit(1)


def _document(outcome: Outcome, dry_run: bool) -> dict[str, Any]:
    def lines(found: Sequence[Line]) -> list[dict[str, Any]]:
        return [{"line": item.line, "why": item.why} for item in found]

    return {
        "dry_run": dry_run,
        "lines": outcome.n_all,
        "new": outcome.n_new,
        "trials": list(outcome.numbers),
        "known_trials": list(outcome.known),
        "left_out": lines(outcome.left_out),
        "left_out_by_kind": outcome.kinds,
        "wrong": lines(outcome.wrong),
        "n_wrong": outcome.n_wrong,
        "columns_not_used": list(outcome.table.unused),
        "domains_without_column": list(outcome.table.zero),
    }


def _print(outcome: Outcome, study: str, dry_run: bool) -> None:
    console = Console(highlight=False)

    def say(text: str) -> None:
        console.print(escape(text), soft_wrap=True)

    say(outcome.headline(study, dry_run=dry_run))
    for text in outcome.remarks():
        say(text)
    for title, found, n in (
        ("wrong", outcome.wrong, outcome.n_wrong),
        ("left out", outcome.left_out, len(outcome.left_out)),
    ):
        if not n:
            continue
        say(f"{title}: {counted(n, 'line')}")
        for item in found[:SHOWN]:
            say(f"  line {item.line}: {item.why}")
        if n > SHOWN:
            kinds = ", ".join(f"{k} {kind}" for kind, k in outcome.kinds.items())
            say(f"  and {n - SHOWN:,} more" + (f" (in all {kinds})" if title == "left out" else ""))
