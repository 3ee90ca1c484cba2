"""`modomodo study …`: create, read and export studies."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modomodo import archives, comparison, pictures, presets
from modomodo.connect import UrlOption, connect
from modomodo.database import HERE, DatabaseOption
from modomodo.errors import problems
from modomodo.summary import cost_text, front_table, is_compared, prediction_text, summary_table
from service.notation import requirements, yaml_text
from service.schemas import Study, StudyPatch, StudySpec, StudyState, TrainerName
from service.search.counts import all_done, counted

app = typer.Typer(no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
StudyArgument = Annotated[str, typer.Argument(help="Name of the study.")]


def print_json(value: BaseModel | Iterable[BaseModel]) -> None:
    """One JSON document on stdout."""
    shown = (
        value.model_dump(mode="json")
        if isinstance(value, BaseModel)
        else [item.model_dump(mode="json") for item in value]
    )
    sys.stdout.write(json.dumps(shown, indent=2) + "\n")


@app.command()
def create(
    file: Annotated[
        str,
        typer.Argument(
            help="YAML or JSON file, - for standard input; or an example: offline, paper."
        ),
    ],
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a study. The same file again changes nothing."""
    spec = _spec(file)
    with connect(url) as client:
        study = client.create_study(spec)
    if as_json:
        print_json(study)
    else:
        _console().print(f"study [bold]{escape(study.name)}[/] is {study.state}")


@app.command("list")
def list_(url: UrlOption = None, as_json: JsonOption = False) -> None:
    """List studies, newest first."""
    with connect(url) as client:
        studies = client.studies()
    if as_json:
        print_json(studies)
        return
    _console().print(_table(studies))


def _table(studies: Sequence[Study]) -> Table:
    """A row a study: how much of its budget is used, and how many of its trials are where."""
    table = Table("study", "state", "budget used", "trials", "objective")
    for study in studies:
        table.add_row(
            escape(study.name),
            study.state,
            used(study),
            _counts(study) or "none",
            f"{study.objective.direction} {escape(study.objective.name)}",
        )
    return table


def used(study: Study, of: str = "of") -> str:
    """What of its budget is used: `3 of 24`, `7.5 of 40 GPU-hours`."""
    if study.gpu_hours is not None:
        return f"{study.gpu_hours_used:,.3g} {of} {study.gpu_hours:,.6g} GPU-hours"
    return f"{study.n_done} {of} {study.budget}"


def _owner(study: Study) -> str:
    return "" if study.owner is None else f"; owner {escape(study.owner)}"


def _sharing(study: Study) -> str:
    """Its weight beside other studies, and what it requires of workers; empty where it is like any
    other."""
    said = [] if study.weight == 1 else [f"weight {study.weight:g} beside other studies"]
    if wanted := requirements.written(study.requires.model_dump()):
        said.append(f"requires {', '.join(wanted)}")
    return "; ".join(said)


def _counts(study: Study) -> str:
    return ", ".join(f"{n} {state.replace('_', ' ')}" for state, n in study.trials.items() if n)


@app.command()
def show(study: StudyArgument, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Show a study and what it has found."""
    with connect(url) as client:
        found = client.study(study)
        if as_json:
            print_json(found)
            return
        trials = client.trials(study)
        best = client.best(study)
        cost = client.cost(study)
    console = _console()
    counts = _counts(found)
    none = "no trials" if found.state == "finished" else "no trials yet"
    console.print(
        f"[bold]{escape(found.name)}[/] is {found.state}: {counts or none}; "
        f"{_budget(found)}{_history(found)}; strategy {escape(found.strategy)}{_owner(found)}"
    )
    if found.note:
        console.print(escape(found.note))
    if sharing := _sharing(found):
        console.print(escape(sharing))
    if best.train is not None and is_compared(trials, best.train):
        console.print(summary_table(found, trials, best.train))
    console.print(escape(best.message))
    if best.train is not None and best.predicted is not None and found.state != "finished":
        console.print(escape(prediction_text(best.predicted)))
    if cost.used:
        console.print(escape(cost_text(cost)))
    if best.waiting is not None:
        console.print(f"[yellow]nothing runs:[/] {escape(best.waiting)}")


@app.command()
def front(
    study: StudyArgument,
    surrogate: Annotated[str, typer.Option(help="Whose view it is.")] = "auto",
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a study's floors and objectives allow: the front, or the mixture recommended."""
    with connect(url) as client:
        found = client.front(study, surrogate)
    if as_json:
        print_json(found)
        return
    _console().print(front_table(found))
    _console().print(escape(found.message))


@app.command()
def pause(study: StudyArgument, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Give out no more trials; running ones go on."""
    _set_state(study, "paused", url, as_json)


@app.command()
def resume(study: StudyArgument, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Give out trials again."""
    _set_state(study, "active", url, as_json)


@app.command()
def finish(study: StudyArgument, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """End the search; running trials go on. Resuming the study takes it back."""
    _set_state(study, "finished", url, as_json)


@app.command()
def export(
    study: StudyArgument,
    form: Annotated[
        Literal["csv", "json", "yaml", "archive"],
        typer.Option(
            "--format",
            help="csv and json: all trials; yaml: the mixture to train; archive: everything "
            "stored, for `study import`, read from the database itself.",
        ),
    ] = "csv",
    trainer: Annotated[
        TrainerName | None,
        typer.Option(help="With yaml: the mixture to train in this trainer's own options."),
    ] = None,
    trial: Annotated[
        int | None,
        typer.Option(min=1, metavar="NUMBER", help="With yaml: this trial's mixture, or schedule."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; default stdout.")] = None,
    url: UrlOption = None,
    database: DatabaseOption = HERE,
) -> None:
    """Write a study's trials, its mixture to train, or all of it, to a file or stdout."""
    if trainer is not None and form != "yaml":
        raise typer.BadParameter("--trainer goes with --format yaml")
    if trial is not None and form != "yaml":
        raise typer.BadParameter("--trial goes with --format yaml")
    if form == "archive":
        content = archives.text(database, study)
    else:
        with connect(url) as client:
            content = client.export(study, form, trainer, trial)
    if out is None:
        sys.stdout.write(content)
    else:
        out.write_text(content, encoding="utf-8")


@app.command()
def compare(
    studies: Annotated[list[str], typer.Argument(help="Names of two to five studies.")],
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show studies side by side: what each has found, what it cost, how far to trust it."""
    names = list(dict.fromkeys(studies))
    if not comparison.LEAST <= len(names) <= comparison.MOST:
        raise typer.BadParameter(
            f"two to five different studies are compared, not {len(names)}", param_hint="STUDIES"
        )
    with connect(url) as client:
        found = [comparison.read(client, name) for name in names]
    if as_json:
        print_json(found)
        return
    console = _console()
    console.print(comparison.table(found))
    if len({one.study.objective.name for one in found}) > 1:
        console.print("Their objectives differ: the scores say nothing about each other.")


@app.command()
def plot(
    study: StudyArgument,
    out: Annotated[Path, typer.Option(help="Folder for the files; made where it is not there.")],
    url: UrlOption = None,
    database: Annotated[
        str | None,
        typer.Option(help="Read from this database URL itself, without a service."),
    ] = None,
    browser: Annotated[
        Path | None,
        typer.Option(help="Chromium or Chrome that draws the PNGs; default the one on the PATH."),
    ] = None,
) -> None:
    """Write the dashboard's charts as HTML and PNG files; index.html has all of them."""
    if database is None:
        with connect(url) as client:
            found, service = client.figures(study), client.url
    else:
        found, service = pictures.read(database, study), None
    pages = pictures.write_pages(found, out, service)
    console = _console()
    console.print(
        f"{counted(len(pages), 'chart')} as HTML in {escape(str(out))}, all in index.html"
    )
    for reason in found.left_out:
        console.print(f"not drawn: {escape(reason)}")
    drawn = pictures.draw(pages, browser)
    console.print(f"{len(drawn)} of them as PNG beside")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="An archive of `study export`.", dir_okay=False)],
    name: Annotated[str | None, typer.Option("--as", help="Another name for it.")] = None,
    database: DatabaseOption = HERE,
) -> None:
    """Store an archived study in a database, with its leases, scores and events."""
    stored = archives.store(database, file, name)
    _console().print(
        f"study [bold]{escape(stored.name)}[/] is stored: {counted(stored.n_trials, 'trial')}"
        + (f", {stored.n_renumbered} with another id" if stored.n_renumbered else "")
    )


def _budget(study: Study) -> str:
    """Its budget, and what its runs have cost."""
    spent = f", {study.gpu_hours_used:,.3g} GPU-hours used" if study.gpu_hours_used else ""
    if study.gpu_hours is None:
        return f"budget {study.budget}{spent}"
    return f"budget {study.gpu_hours:,.6g} GPU-hours, {study.gpu_hours_used:,.3g} used"


def _history(study: Study) -> str:
    """Says of finished runs that were added, and of merged models, that they use no budget, where
    there are any."""
    beside = []
    if study.attached:
        what = counted(study.attached, "run")
        beside.append(f"{what} that {'was' if study.attached == 1 else 'were'} added finished")
    if study.merged:
        beside.append(counted(study.merged, "merged model"))
    if not beside:
        return ""
    does = "does" if study.attached + study.merged == 1 else "do"
    return f", {study.n_done} used ({' and '.join(beside)} {does} not count)"


def _console() -> Console:
    return Console()


def _set_state(study: str, state: StudyState, url: str | None, js: bool) -> None:
    with connect(url) as client:
        changed: Study = client.patch_study(study, StudyPatch(state=state))
    if js:
        print_json(changed)
        return
    why = ""
    if state == "active" and changed.state == "finished":
        hours = changed.gpu_hours if changed.planned < changed.budget else None
        why = f": {all_done(changed.planned, hours)}"
    _console().print(f"study [bold]{escape(changed.name)}[/] is {changed.state}{why}")


def _spec(file: str) -> StudySpec:
    """The study in a file, or an example that comes with the package.

    Raises:
        typer.BadParameter: no such file, not YAML, or not a study; says where.
    """
    try:
        if file in presets.study_names():
            return StudySpec.model_validate(presets.study(file))
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return StudySpec.model_validate(yaml_text.load(text))
    except OSError as error:
        raise typer.BadParameter(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{file} is not UTF-8 text") from error
    except yaml.YAMLError as error:
        raise typer.BadParameter(f"{file} is neither YAML nor JSON: {error}") from error
    except ValidationError as error:
        raise typer.BadParameter(f"{file} is not a study: {problems(error)}") from error
