"""`modomodo fit`: what a surrogate makes of a file of runs, without a service."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modomodo import goal_options, schedule_options, space_options
from modomodo.errors import CommandFailed
from modomodo.goal_options import Wishes
from modomodo.runs_options import (
    BenchmarksOption,
    DataOption,
    JsonOption,
    MinimizeOption,
    NoiseOption,
    NormaliseOption,
    ObjectiveOption,
    PlotOption,
    SeedOption,
    WeightsOption,
    case_of,
    known,
    layout_of,
    score_columns,
)
from modomodo.similarity_option import SimilarityOption
from modomodo.space_options import SpaceOptions
from modomodo.units import Unit
from service.search.counts import counted
from service.search.schedules import mean_of
from service.search.situation import Direction
from service.study.points import widened

if TYPE_CHECKING:
    from modomodo.runs_options import Case
    from service.search.diagnostics import Diagnosis
    from service.search.space import FloatArray

MOST_PAIRS = 10
"""Pairs that a person is shown; JSON has all."""


def fit(
    data: DataOption,
    objective: ObjectiveOption = "out_score",
    minimize: MinimizeOption = False,
    surrogate: Annotated[str, typer.Option(help="What is fitted; an unknown one lists all.")] = (
        "auto"
    ),
    at: Annotated[Path | None, typer.Option(help="CSV of mixtures to predict.")] = None,
    seed: SeedOption = 0,
    noise_column: NoiseOption = None,
    benchmark: BenchmarksOption = None,
    weights: WeightsOption = None,
    normalise: NormaliseOption = False,
    front: goal_options.FrontOption = None,
    floor: goal_options.FloorOption = None,
    floor_probability: goal_options.ProbabilityOption = 0.9,
    worst: goal_options.WorstOption = False,
    bounds: space_options.BoundsOption = None,
    pin: space_options.PinOption = None,
    limit: space_options.LimitOption = None,
    max_active: space_options.MaxActiveOption = None,
    zero_or_at_least: space_options.LeastOption = None,
    among: space_options.AmongOption = None,
    similarity: SimilarityOption = None,
    phases: schedule_options.PhasesOption = None,
    shares: schedule_options.SharesOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a surrogate to a CSV of runs: how far to trust it, and what it says."""
    from service.search import documents, goal_documents
    from service.search.diagnostics import diagnose
    from service.search.documents import finite
    from service.search.surrogates import SURROGATES

    known("surrogate", surrogate, SURROGATES)
    wishes = Wishes.of(front, floor, floor_probability, worst, minimize)
    if wishes:
        goal_options.can_pursue("--surrogate", surrogate)
    scored = score_columns(objective, benchmark, noise_column, wishes)
    goal = wishes.goal(objective, scored.benchmarks)
    wanted = SpaceOptions(
        *(bounds or (), pin or (), limit or (), max_active, zero_or_at_least or (), among),
        similarity,
    )
    of_phases = schedule_options.shares_of(phases, shares)
    layout = layout_of(weights, normalise, data, at, among, shares=of_phases)
    case = case_of(data, scored, wanted, layout)
    schedule_options.check(case, has_goal=bool(wishes))
    if len(case.runs) == 0:
        what = f"columns {', '.join(benchmark)}" if benchmark else repr(objective)
        raise CommandFailed(
            f"{case.file}: {what}: no {'full run' if case.runs.channels else 'row'} has a value; "
            "`modomodo suggest` proposes the first runs"
        )
    points = case.mixtures(at)
    direction: Direction = "minimize" if minimize else "maximize"
    try:
        found = diagnose(
            *(surrogate, case.space, case.runs.weighed(), seed, direction, points),
            proposed=case.searched,
        )
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    decision = None if goal is None else goal_options.decided(goal, case, surrogate, seed)
    unit = Unit.of(case.runs.score, objective)
    if plot is not None:
        from modomodo import plots

        plots.save(plots.diagnosis(case.domains, case.runs, found, objective, unit), plot)
    document = {"surrogate": surrogate, **documents.diagnosis(case.space, found)}
    document["loo"]["pit"] = [finite(value) for value in found.loo.pit]
    document |= {
        "shares": dict(found.shares),
        "channels": {
            name: documents.channel(len(case.runs.channels[name]), carried)
            for name, carried in found.channels.items()
        },
        "predictions": [documents.estimate(x) for x in found.predictions],
    }
    if case.shares:
        document["schedule"] = schedule_options.best_as_document(case, found.schedule)
    if decision is not None:
        document["goal"] = goal_documents.decision(case.space, decision)
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        _show(found, case, points, unit)
        if decision is not None:
            goal_options.show(Console(), decision, case, unit)


def _show(found: Diagnosis, case: Case, points: FloatArray, unit: Unit) -> None:
    from service.search.surrogates.carried import in_words

    console = Console()
    domains = case.domains
    n = counted(found.n, "run")
    console.print(f"[bold]{escape(f'{found.name}: {found.kind}')}[/], fitted to {n}")
    console.print(unit.said)
    console.print(f"left-out runs: {_figures(found, unit) or 'too few to tell'}")
    for name, carried in found.channels.items():
        if carried is not None:
            told = f"{counted(len(case.runs.channels[name]), 'score')} of {name}"
            console.print(
                f"{escape(told)}: worth {counted(round(carried.worth_in_runs), 'full run')}; "
                f"{in_words(carried.rho, carried.rho_sd)}"
            )
    best = found.best
    parts = ", ".join(
        f"{name} {100 * w:.1f}%" for name, w in zip(domains, best.weights, strict=True) if w > 5e-4
    )
    console.print(f"best predicted: {unit.with_margin(best.mean, best.sd)} at {escape(parts)}")
    console.print(
        f"{100 * found.chance_of_better:.0f}% chance that another mixture beats it by more than "
        f"one run's noise ({unit.value(found.margin)})"
    )
    table = Table("domain", "predicted alone")
    for name, value in zip(domains, found.effects.alone, strict=True):
        table.add_row(escape(name), unit.with_margin(value.mean, value.sd))
    console.print(table)
    pairs = sorted(found.effects.synergy.items(), key=lambda pair: -abs(pair[1].mean))
    if pairs:
        # Four times less than the coefficient of w_i * w_j: what a person can look for in runs.
        table = Table(
            "pair",
            "equal blend over the mean of the two",
            title=f"the {MOST_PAIRS} largest of {len(pairs)}" if len(pairs) > MOST_PAIRS else None,
        )
        for (i, j), value in pairs[:MOST_PAIRS]:
            blend = unit.gain(value.mean / 4, value.sd / 4)
            table.add_row(escape(f"{domains[i]} and {domains[j]}"), blend)
        console.print(table)
    if len(points):
        table = Table("", *map(escape, domains), "predicted")
        means = mean_of(points, len(domains))
        for i, (x, p) in enumerate(zip(means, found.predictions, strict=True), 1):
            weights = [f"{100 * w:.1f}%" for w in x]
            table.add_row(str(i), *weights, unit.with_margin(p.mean, p.sd))
            for row in schedule_options.rows(schedule_options.phases_of(case, points[i - 1])):
                table.add_row(*row, style="dim")
        console.print(table)
    for c in found.confirmations:
        mean = unit.with_margin(c.mean, widened(c.se, c.n))
        off = f"{unit.value(abs(c.optimism))} too {'much' if c.optimism > 0 else 'little'}"
        predicted = unit.value(c.predicted)
        console.print(
            f"run {c.n} times: {mean} on average; the other runs predict {predicted}, {off}"
        )
    if found.schedule is not None:
        console.print(escape(schedule_options.best_in_words(case, found.schedule, unit)))
    if case.beside:
        console.print(escape(schedule_options.beside_in_words(case)))
    for message in found.messages:
        console.print(f"[yellow]•[/] {escape(message)}")


def _figures(found: Diagnosis, unit: Unit) -> str:
    """Leave-one-out figures in one line; those that too few runs leave undefined are not there."""
    loo = found.loo
    said = [
        f"{name} {value:.2f}"
        for name, value in (("R²", loo.r2), ("Spearman", loo.spearman))
        if value is not None and math.isfinite(value)
    ]
    if loo.rmse is not None:
        said.append(f"RMSE {unit.value(loo.rmse)}")
    if loo.inside_95 is not None:
        said.append(f"{loo.inside_95} of {found.n} inside their 95% interval")
    return ", ".join(said)
