"""`modomodo trial cancel|retry|tag`: one trial or a choice of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from modomodo.connect import UrlOption, connect
from modomodo.errors import problems
from modomodo.study import JsonOption, print_json
from modomodo.trial import change, id_of, print_one
from service.client import Client
from service.schemas import MAX_CHANGED, TrialChanged, TrialsChange, TrialsChanged
from service.search.counts import counted

NumbersArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="STUDY NUMBER...",
        help="Study and numbers of trials, as 3 or 7-12; or one trial's id in the service.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Puts these commands among those of trials."""
    app.command()(retry)
    app.command()(cancel)
    app.command()(tag)


def retry(trial: NumbersArgument, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Queue failed or cancelled trials again, which also undoes a cancel."""
    if len(trial) > 1 and not _is_one(trial):
        _change_all({"action": "retry"}, trial, url, as_json)
    else:
        change(Client.retry, trial, url, as_json)


def cancel(trial: NumbersArgument, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Call queued, running or paused trials off."""
    if len(trial) > 1 and not _is_one(trial):
        _change_all({"action": "cancel"}, trial, url, as_json)
    else:
        change(Client.cancel, trial, url, as_json)


def tag(
    trial: NumbersArgument,
    add: Annotated[
        list[str] | None, typer.Option("--add", metavar="TAG", help="A tag they get. Repeatable.")
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option("--remove", metavar="TAG", help="A tag they lose. Repeatable."),
    ] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give trials tags, or take them away; other tags stay."""
    if bool(add) == bool(remove):
        raise typer.BadParameter("say either --add TAG or --remove TAG")
    asked: dict[str, object] = {"action": "tag" if add else "untag", "tags": add or remove}
    if len(trial) > 1:
        _change_all(asked, trial, url, as_json)
        return
    with connect(url) as client:
        found = client.trial(id_of(client, trial))
        answer = client.change_trials(found.study, _body(asked, [found.number]))
        found = client.trial(found.id)
    _refuse_if_not_done(answer)
    print_one(found, as_json)


def _is_one(trial: Sequence[str]) -> bool:
    return len(trial) == 2 and trial[1].isdecimal()


def _change_all(
    asked: dict[str, object], trial: Sequence[str], url: str | None, as_json: bool
) -> None:
    study, *numbers = trial
    body = _body(asked, _numbers(numbers))
    with connect(url) as client:
        answer = client.change_trials(study, body)
    if as_json:
        print_json(answer)
    else:
        _print(answer)
    if answer.n_done < len(answer.trials):
        raise typer.Exit(1)


def _body(asked: dict[str, object], numbers: Sequence[int]) -> TrialsChange:
    try:
        return TrialsChange.model_validate(asked | {"numbers": numbers})
    except ValidationError as error:
        raise typer.BadParameter(problems(error)) from error


def _numbers(texts: Sequence[str]) -> list[int]:
    """Of `3` and `7-12`, each once, in this order."""
    found: dict[int, None] = {}
    for text in texts:
        parts = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", text)
        first, last = (0, 0) if parts is None else (int(parts[1]), int(parts[2] or parts[1]))
        if not 0 < first <= last:
            raise typer.BadParameter(
                f"{text!r} is neither a study and the number of a trial, like first 3, nor some of "
                "its numbers, like first 3 7-12"
            )
        if last - first >= MAX_CHANGED:
            raise typer.BadParameter(f"{text}: at most {MAX_CHANGED} trials are changed at once")
        found |= dict.fromkeys(range(first, last + 1))
    return list(found)


def _refuse_if_not_done(answer: TrialsChanged) -> None:
    for item in answer.trials:
        if not item.done:
            Console(stderr=True).print(f"[bold red]error:[/] {escape(item.why or '')}")
            raise typer.Exit(1)


def _print(answer: TrialsChanged) -> None:
    console = Console()
    for item in answer.trials:
        console.print(f"trial [bold]{item.number}[/]: {escape(_said(item))}", highlight=False)
    console.print(f"{counted(answer.n_done, 'trial')} of {len(answer.trials)} done")


def _said(item: TrialChanged) -> str:
    if not item.done:
        return f"not done: {item.why}"
    state = (item.state or "").replace("_", " ")
    tags = f", tags: {', '.join(item.tags)}" if item.tags else ""
    return state + tags + ("" if item.changed else " (as before)")
