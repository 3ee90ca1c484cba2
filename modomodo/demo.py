"""`modomodo demo`: a whole mixture search on this machine, on the built-in offline world."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID

from db.trial_states import RESULTS
from modomodo import bars
from modomodo.errors import CommandFailed
from modomodo.extras import need
from modomodo.local import LocalFleet
from modomodo.summary import (
    UNITS,
    is_compared,
    prediction_text,
    summary_table,
    trial_head,
    trial_line,
)
from service.client import Client, ServiceError
from service.schemas import Measurement, Study, StudyPatch, StudySpec, Trial
from service.search.counts import counted

if TYPE_CHECKING:
    from trainer.recipe import Recipe

POLL_S = 0.5
FAILURES_IN_A_ROW = 3
INTERRUPTED = 130
"""Exit code of a search that was stopped before its end."""

console = Console()


def demo(
    trials: Annotated[int, typer.Option(min=1, help="Runs in all.")] = 24,
    steps: Annotated[int | None, typer.Option(min=0, help="GRPO steps a run.")] = None,
    domains: Annotated[
        str | None, typer.Option(help="Comma-separated; default: all five of the world.")
    ] = None,
    items: Annotated[
        int | None, typer.Option(min=1, help="Items scored of each benchmark; default: all.")
    ] = None,
    strategy: Annotated[str, typer.Option(help="What proposes the mixtures.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, max=64, help="Runs in parallel.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of proposals and runs.")] = 0,
    folder: Annotated[Path, typer.Option(help="Database and logs.")] = Path("runs/demo"),
    study: Annotated[str, typer.Option(help="Name; a known one is resumed.")] = "demo",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the service, if it is free; 0: any.")
    ] = 8765,
    exit_: Annotated[
        bool, typer.Option("--exit", envvar="DEMO_EXIT", help="End at once when done.")
    ] = False,
) -> None:
    """Searches the best mixture of five small image-text domains by real GRPO runs.

    No GPU, network or server is needed. Ctrl-C at any time; the same command goes on from there.
    """
    console.print("[bold]MoDoMoDo demo[/]: the best training mixture in a few GRPO runs\n")
    need("service", "trainer")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # all stop it in order
    is_done = False
    wanted = _wanted(
        study,
        domains=domains.split(",") if domains else None,
        recipe=_recipe(steps, items),
        strategy=strategy,
        budget=trials,
        seed=seed,
    )
    try:
        with LocalFleet(folder, port=port) as fleet, Client(fleet.url) as client:
            console.print(f"service and dashboard at [bold]{fleet.url}[/], logs in {folder}/")
            stored = _open_study(client, wanted, folder)
            fleet.start_workers(workers, study)
            done = _follow(fleet, client, stored)
            _conclude(client, client.study(study), done)
            is_done = True
            if not exit_:
                console.print(f"\ndashboard: [bold]{fleet.url}[/]  (Ctrl-C ends)")
                _stay(fleet)
    except KeyboardInterrupt:
        if not is_done:
            console.print("\nstopped; the same command goes on from here")
            raise typer.Exit(INTERRUPTED) from None


def _wanted(
    name: str,
    *,
    domains: list[str] | None,
    recipe: Recipe,
    strategy: str,
    budget: int,
    seed: int,
) -> StudySpec:
    """The study that the options ask for.

    Raises:
        CommandFailed: they name what there is not.
    """
    from service.search.strategies import STRATEGIES
    from trainer.tiny.study import study_spec
    from trainer.tiny.world import DOMAIN_SIZES

    if strategy not in STRATEGIES:
        known = ", ".join(STRATEGIES)
        raise CommandFailed(f"unknown strategy {strategy!r}; there are {known}")
    try:
        return study_spec(
            name,
            domains=domains or list(DOMAIN_SIZES),
            recipe=recipe,
            budget=budget,
            strategy=strategy,
            seed=seed,
        )
    except ValueError as error:
        raise CommandFailed(str(error)) from error


def _open_study(client: Client, wanted: StudySpec, folder: Path) -> Study:
    """Creates the study, or takes up the stored one if it is the same but for its budget."""
    name = wanted.name
    try:
        stored = client.study(name)
    except ServiceError as error:
        if error.status != 404:
            raise
        baseline = _score_base(wanted, folder / "base.log")
        return client.create_study(wanted.model_copy(update={"baseline": baseline}))
    differing = [
        field
        for field in ("domains", "benchmarks", "recipe", "strategy", "seed")
        if getattr(stored, field) != getattr(wanted, field)
    ]
    if differing:
        raise CommandFailed(
            f"study {name!r} is there with another {' and '.join(differing)}; "
            "give --study another name, or --folder another place"
        )
    console.print(
        f"going on with study {name!r}: {counted(stored.trials.get('completed', 0), 'run')} done"
    )
    if stored.budget != wanted.budget or stored.state != "active":
        stored = client.patch_study(name, StudyPatch(budget=wanted.budget, state="active"))
    return stored


def _recipe(steps: int | None, items: int | None) -> Recipe:
    """The offline world's, with fewer steps or fewer items scored where that is asked for."""
    from trainer.recipe import Recipe

    given: dict[str, Any] = {} if steps is None else {"steps": steps}
    if items is not None:
        given["evaluation"] = {"limit": items}
    return Recipe.model_validate(given)


def _score_base(study: StudySpec, log: Path) -> list[Measurement]:
    """Scores of the recipe's model before any training: a run of no steps, in a process of its own.

    So this one holds no model and no GPU while the workers train.

    Args:
        log: file that takes what the process prints.

    Raises:
        CommandFailed: the run failed; says why.
    """
    from trainer.job import Crash, Job, Outcome
    from trainer.job import Progress as Where
    from trainer.recipe import Recipe
    from trainer.worker.child import Child

    recipe = Recipe.parse(study.recipe).model_copy(update={"steps": 0})
    mixture = {domain.name: 1 / len(study.domains) for domain in study.domains}
    with bars.timed(console) as bar:
        task = bar.add_task("scoring the base model", total=None)
        child = Child(Job(mixture, recipe, study.seed), log)
        try:
            while not isinstance(message := child.hear(), Outcome):
                if isinstance(message, Crash):
                    raise CommandFailed(f"cannot score the base model: {message.error}")
                if isinstance(message, Where) and "evaluated" in message.metrics:
                    bar.update(task, completed=message.metrics["evaluated"], total=1.0)
        finally:
            child.stop()
    return message.measurements


def _follow(fleet: LocalFleet, client: Client, study: Study) -> list[Trial]:
    """Shows the runs until the budget is used; one line a finished trial.

    Raises:
        CommandFailed: it cannot come to an end; says why.
    """
    trials: dict[int, Trial] = {}
    shown: set[int] = set()
    running: dict[int, TaskID] = {}
    after = failures = 0
    console.print(UNITS)
    console.print(trial_head([domain.name for domain in study.domains]))
    with bars.timed(console) as progress:
        whole = progress.add_task("runs", total=study.budget)
        while True:
            is_working = fleet.check()
            study = client.study(study.name)
            changed = client.trials(study.name, after=after)
            after = max([after, *(trial.revision for trial in changed)])
            for trial in changed:
                trials[trial.id] = trial
                _show_running(progress, running, trial)
                if trial.state in (*RESULTS, "failed") and trial.id not in shown:
                    shown.add(trial.id)
                    progress.console.print(trial_line(trial))
                    failures = failures + 1 if trial.state == "failed" else 0
            done = [trial for trial in trials.values() if trial.state in RESULTS]
            state = "" if study.state == "active" else f", {study.state}"
            progress.update(
                whole,
                completed=len(done),
                total=study.budget,
                description=f"runs {len(done)}/{study.budget}{state}",
            )
            if len(done) >= study.budget:
                return done
            if failures >= FAILURES_IN_A_ROW:
                raise CommandFailed(
                    f"{failures} runs in a row failed; see the logs in {fleet.folder}/"
                )
            if not is_working:
                raise CommandFailed(
                    f"the workers found no more to do after {len(done)} of {study.budget} runs "
                    f"(the study is {study.state}); see the logs in {fleet.folder}/"
                )
            time.sleep(POLL_S)


def _show_running(progress: Progress, running: dict[int, TaskID], trial: Trial) -> None:
    if trial.state == "running":
        if trial.id not in running:
            running[trial.id] = progress.add_task(f"  run {trial.number}", total=None)
        progress.update(
            running[trial.id], completed=trial.step or 0, total=trial.total_steps or None
        )
    elif trial.id in running:
        progress.remove_task(running.pop(trial.id))


def _conclude(client: Client, study: Study, done: list[Trial]) -> None:
    console.print()
    best = client.best(study.name)
    if best.train is not None and is_compared(done, best.train):
        console.print(summary_table(study, done, best.train))
    console.print(escape(best.message))
    if best.predicted is not None:
        console.print(prediction_text(best.predicted))


def _stay(fleet: LocalFleet) -> None:
    while True:
        fleet.check()
        time.sleep(POLL_S)
