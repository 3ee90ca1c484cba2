"""`modomodo train` and `modomodo rescore`: one run by hand, and its responses again."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modomodo import bars, mixtures
from modomodo.errors import CommandFailed, WrongUse
from modomodo.extras import need
from modomodo.recipe import DataOption, RecipeArgument, open_recipe
from modomodo.study import JsonOption
from service.schemas import mean_mixture

if TYPE_CHECKING:
    from trainer.job import Outcome, Progress


def train(
    what: RecipeArgument,
    mixture: Annotated[
        str | None, typer.Option("--mixture", help="Weights, as coco=0.5,lisa=0.5.")
    ] = None,
    phase: mixtures.PhaseOption = None,
    shares: mixtures.SharesOption = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            file_okay=False, help="The run's own folder; a killed run goes on from what is there."
        ),
    ] = None,
    data: DataOption = Path(),
    commands: Annotated[
        Path | None,
        typer.Option(
            envvar="MODOMODO_COMMANDS",
            file_okay=False,
            help="Folder of the executables that recipes of back end `command` may name.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Where the recipe has none.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Train one mixture and score it, without a service; also under `accelerate launch`."""
    recipe = open_recipe(what)
    schedule = mixtures.schedule(phase or [], shares)
    if (mixture is None) == (not schedule):
        raise WrongUse("give --mixture coco=0.5,lisa=0.5, or each --phase of one")
    weights = mean_mixture(schedule) if mixture is None else mixtures.parse(mixture)
    if recipe.backend == "trl":
        need("trainer", *(["lora"] if recipe.lora else []))
    from trainer.backends import run_job
    from trainer.domains.errors import DataError
    from trainer.job import Job
    from trainer.recipe import RecipeError
    from trainer.run.command import CommandError
    from trainer.storage.run_folder import FolderTaken

    job = Job(weights, recipe, seed, data, folder, commands, schedule=tuple(schedule))
    console = Console(stderr=True)
    try:
        with bars.counting(console) as bar:
            task = bar.add_task("train", total=None)

            def show(progress: Progress) -> None:
                bar.update(
                    task,
                    description=f"{progress.stage}, reward {progress.metrics['reward']:.3f}"
                    if "reward" in progress.metrics
                    else progress.stage,
                    completed=progress.step,
                    total=progress.total_steps,
                )

            outcome = run_job(job, show)
    except (DataError, RecipeError, FolderTaken, CommandError) as error:
        raise CommandFailed(str(error)) from error
    if os.environ.get("RANK", "0") == "0":  # of several processes one tells
        _print(outcome, as_json)


def rescore(
    files: Annotated[
        list[Path], typer.Argument(metavar="RESPONSES.parquet…", help="Responses that runs kept.")
    ],
    rule: Annotated[
        str, typer.Option(help="`paper`, or a name of `modomodo score --list`.")
    ] = "paper",
    out: Annotated[
        Path | None, typer.Option(help="Write id, response and score of each as JSON lines.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score responses that a run kept again, by any rule, without the model."""
    need("trainer")
    from rewards.rules import UnknownRuleError, rule_named
    from trainer.run import responses

    if rule != responses.PAPER:
        try:
            needed = rule_named(rule).needs
        except UnknownRuleError as error:
            raise WrongUse(str(error)) from error
        if needed is not None:
            need(needed)
    found, lines = [], []
    try:
        for file in files:
            kept = responses.read(file)
            scores, estimate = responses.rescore(kept, rule)
            rows = kept.to_pylist()
            lines += [
                {key: row[key] for key in ("benchmark", "step", "id", "response")} | {"score": s}
                for row, s in zip(rows, scores, strict=True)
            ]
            found.append(
                {
                    "file": str(file),
                    "benchmark": rows[0]["benchmark"],
                    "step": rows[0]["step"],
                    "rule": rule,
                    "score": estimate.score,
                    "se": estimate.se,
                    "samples": len(scores),
                }
            )
    except responses.NoResponses as error:
        raise CommandFailed(str(error)) from error
    if out is not None:
        out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    table = Table("benchmark", "step", "rule", "score", "samples")
    for one in found:
        table.add_row(
            escape(str(one["benchmark"])),
            str(one["step"]),
            rule,
            f"{one['score']:.4f}",
            f"{one['samples']:,}",
        )
    Console().print(table)


def _print(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        shown = {
            "measurements": [one.model_dump(mode="json") for one in outcome.measurements],
            "steps": outcome.steps,
            "exhausted": outcome.exhausted,
            "samples": outcome.counts,
            **({"mean_weights": outcome.mean_weights} if outcome.mean_weights else {}),
            "wall_s": outcome.wall_s,
            **outcome.made_with,
        }
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
        return
    table = Table("benchmark", "step", "rule", "score", "samples")
    for one in outcome.measurements:
        table.add_row(
            one.benchmark, str(one.step), one.rule, f"{one.score:.4f}", f"{one.samples:,}"
        )
    console = Console()
    console.print(table)
    ended = f"; {outcome.exhausted} ran out" if outcome.exhausted else ""
    console.print(f"{outcome.steps:,} steps in {outcome.wall_s:,.0f} s{ended}", highlight=False)
