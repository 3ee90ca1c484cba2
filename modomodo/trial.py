"""`modomodo trial …`: add, read, pause, continue and stop trials, one at a time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modomodo import mixtures
from modomodo.connect import UrlOption, connect
from modomodo.errors import problems
from modomodo.study import JsonOption, StudyArgument, print_json
from modomodo.summary import UNITS, mixture_text, score_text
from service.client import Client
from service.schemas import Channel, Trial, TrialCreate, TrialState
from service.search.counts import counted
from service.study import points, repeats

app = typer.Typer(no_args_is_help=True)

TrialArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="STUDY NUMBER", help="Study and number of the trial; or its id in the service."
    ),
]


StopAtOption = Annotated[
    int | None,
    typer.Option(min=1, metavar="STEP", help="Pause at this step; without it, train to the end."),
]

TagsOption = Annotated[
    list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag it gets. Repeatable.")
]


@app.command()
def add(
    study: StudyArgument,
    mixture: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DOMAIN=WEIGHT...]", help="Weights that sum to 1."),
    ] = None,
    measurements: Annotated[
        str | None,
        typer.Option(
            "--measurements",
            help='JSON file of a finished run\'s scores, [{"benchmark", "score", "samples"}]; '
            "- reads standard input. Without it the mixture waits for a worker.",
        ),
    ] = None,
    note: Annotated[str, typer.Option(help="Free text.")] = "",
    tag: TagsOption = None,
    stop_at: StopAtOption = None,
    channel: Annotated[
        Channel,
        typer.Option(
            help="merged: score a model merged of the runs of single domains, without training."
        ),
    ] = "full",
    phase: mixtures.PhaseOption = None,
    shares: mixtures.SharesOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Queue a mixture by hand, or add a finished run."""
    schedule = mixtures.schedule(phase or [], shares)
    if bool(mixture) == bool(schedule):
        raise typer.BadParameter("give a mixture, as coco=0.25 sat=0.75, or each --phase of one")
    what: dict[str, Any] = {"mixture": dict(map(_weight, mixture or []))}
    if schedule:
        what = {"schedule": [one.model_dump() for one in schedule]}
    body = {
        **what,
        "measurements": [] if measurements is None else _read(measurements),
        "note": note,
        "tags": tag or [],
        "stop_at": stop_at,
        "channel": channel,
    }
    try:
        trial = TrialCreate.model_validate(body)
    except ValidationError as error:
        raise typer.BadParameter(problems(error)) from error
    with connect(url) as client:
        added = client.add_trial(study, trial)
    print_one(added, as_json)


@app.command("list")
def list_(
    study: StudyArgument,
    state: Annotated[TrialState | None, typer.Option(help="Only trials in this state.")] = None,
    channel: Annotated[Channel | None, typer.Option(help="Only trials of this channel.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only trials with this tag.")] = None,
    text: Annotated[
        str | None, typer.Option(help="Only trials with this in the note or a tag.")
    ] = None,
    same_as: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="NUMBER", help="Only trials of this one's mixture or schedule."
        ),
    ] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List a study's trials by number."""
    with connect(url) as client:
        trials = sorted(client.trials(study), key=lambda trial: trial.number)
        like = None if same_as is None else client.numbered(study, same_as)
    shown = [
        trial
        for trial in trials
        if state in (None, trial.state)
        and channel in (None, trial.channel)
        and (tag is None or tag in trial.tags)
        and (text is None or _says(trial, text))
        and (like is None or repeats.is_same(trial, like))
    ]
    if as_json:
        print_json(shown)
        return
    columns = ("trial", "id", "state", "In-Score", "Out-Score", "from", "tags", "mixture")
    table = Table(*columns, caption=UNITS)
    for trial in shown:
        table.add_row(
            str(trial.number),
            str(trial.id),
            _state_text(trial) + ("" if trial.channel == "full" else f", {trial.channel}"),
            score_text(trial.scores.in_score),
            score_text(trial.scores.out_score),
            trial.proposal.strategy if trial.proposal else trial.origin,
            escape(", ".join(trial.tags)),
            mixture_text(trial.mixture) + _phases_text(trial),
        )
    Console().print(table)


@app.command()
def show(trial: TrialArgument, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Show a trial with all its scores."""
    with connect(url) as client:
        found = client.trial(id_of(client, trial))
    print_one(found, as_json)
    if as_json or not found.measurements:
        return
    table = Table("benchmark", "step", "score", "samples", "rule")
    for item in sorted(found.measurements, key=lambda m: (m.benchmark, m.step)):
        table.add_row(
            item.benchmark,
            str(item.step),
            points.score(item.score, item.sampling_error()),
            str(item.samples),
            item.rule,
        )
    Console().print(table)


@app.command()
def pause(trial: TrialArgument, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Pause a running trial at its next evaluation point."""
    change(Client.pause, trial, url, as_json)


@app.command("continue")
def continue_(
    trial: TrialArgument,
    stop_at: StopAtOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Queue a paused trial to go on from its checkpoint."""
    change(partial(Client.continue_, stop_at=stop_at), trial, url, as_json)


@app.command()
def stop(trial: TrialArgument, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Stop a running trial for good at its next evaluation point, or a paused one at once."""
    change(Client.stop, trial, url, as_json)


@app.command("stop-early")
def stop_early(trial: TrialArgument, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """End a running trial at once, with the scores it has so far."""
    change(Client.stop_early, trial, url, as_json)


def change(
    call: Callable[[Client, int], Trial], trial: Sequence[str], url: str | None, as_json: bool
) -> None:
    """Changes a trial by one call of the client, and shows what it is now."""
    with connect(url) as client:
        changed = call(client, id_of(client, trial))
    print_one(changed, as_json)


def id_of(client: Client, trial: Sequence[str]) -> int:
    """The id of the trial that the arguments name.

    Raises:
        typer.BadParameter: they are neither a study and a number nor an id.
        ServiceError: there is no such study, or it has no trial of that number.
    """
    if len(trial) not in (1, 2) or not trial[-1].isdecimal() or not 0 < int(trial[-1]) < 2**31:
        given = " ".join(trial)
        raise typer.BadParameter(
            f"{given!r} is neither a study and the number of a trial, like first 3, nor an id"
        )
    number = int(trial[-1])
    if len(trial) == 1:
        return number
    return client.numbered(trial[0], number).id


def print_one(trial: Trial, as_json: bool) -> None:
    if as_json:
        print_json(trial)
        return
    console = Console()
    console.print(
        f"trial [bold]{trial.number}[/] (id {trial.id}, study {escape(trial.study)}) is "
        f"{_state_text(trial)}: {mixture_text(trial.mixture)}"
        + ("" if trial.channel == "full" else f" (channel {trial.channel})")
        + _phases_text(trial)
    )
    for phase in trial.schedule or ():
        console.print(f"  {100 * phase.share:.3g}% of its steps: {mixture_text(phase.mixture)}")
    console.print(
        f"In-Score {score_text(trial.scores.in_score)}  "
        f"Out-Score {score_text(trial.scores.out_score)} ({UNITS})"
    )
    worker = f", worker {escape(trial.worker)}" if trial.worker else ""
    console.print(f"{counted(trial.attempts, 'attempt')}{worker}")
    if trial.proposal:
        console.print(escape(f"{trial.proposal.strategy}: {trial.proposal.reason}"))
    if trial.error:
        console.print(f"[red]{escape(trial.error)}[/]")
    if trial.tags:
        console.print(escape(f"tags: {', '.join(trial.tags)}"))
    if trial.note:
        console.print(escape(trial.note))


def _says(trial: Trial, text: str) -> bool:
    return any(text.casefold() in said.casefold() for said in (trial.note, *trial.tags))


def _state_text(trial: Trial) -> str:
    if trial.state == "running" and trial.step is not None and trial.channel == "full":
        until = f", to {trial.asked} at its next evaluation point" if trial.asked else ""
        return f"running, step {trial.step}" + (
            (f" of {trial.total_steps}" if trial.total_steps else "") + until
        )
    if trial.state == "paused":
        return f"paused at step {trial.step}"
    return trial.state.replace("_", " ")


def _phases_text(trial: Trial) -> str:
    """Says of a mean that it is one."""
    return f" (mean of {len(trial.schedule)} phases)" if trial.schedule else ""


def _weight(text: str) -> tuple[str, float]:
    name, separator, number = text.partition("=")
    try:
        if not separator:
            raise ValueError
        return name, float(number)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not DOMAIN=WEIGHT, like coco=0.25") from error


def _read(file: str) -> Any:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise typer.BadParameter(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{file} is not JSON: {error}") from error
