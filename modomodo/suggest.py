"""`modomodo suggest`: the next mixtures from a file of runs, without a service."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modomodo import channels, extras, goal_options, schedule_options, space_options
from modomodo.errors import CommandFailed, WrongUse
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
from modomodo.space_options import RunLength, SpaceOptions, steps_of
from modomodo.units import Unit
from service.search.heuristics import HeuristicOptions
from service.search.runs import TARGET


def suggest(
    data: DataOption,
    objective: ObjectiveOption = "out_score",
    minimize: MinimizeOption = False,
    strategy: Annotated[
        str, typer.Option(help="What proposes; an unknown one lists all.")
    ] = "auto",
    n: Annotated[int, typer.Option("-n", "--number", min=1, max=1000, help="How many.")] = 1,
    seed: SeedOption = 0,
    pending: Annotated[
        Path | None, typer.Option(help="CSV of mixtures that are being run already.")
    ] = None,
    noise_column: NoiseOption = None,
    benchmark: BenchmarksOption = None,
    weights: WeightsOption = None,
    normalise: NormaliseOption = False,
    front: goal_options.FrontOption = None,
    floor: goal_options.FloorOption = None,
    floor_probability: goal_options.ProbabilityOption = 0.9,
    worst: goal_options.WorstOption = False,
    budget: Annotated[
        int | None,
        typer.Option(min=1, help="Runs in all: sizes the opening, leaves room to confirm."),
    ] = None,
    opening: Annotated[
        Literal["optimal", "seeds"], typer.Option(help="An optimal design or the paper's seeds.")
    ] = "optimal",
    alpha_single: Annotated[
        float, typer.Option(min=0, help="Heuristics: factor of single-domain runs' scores.")
    ] = 1.0,
    leave_out: Annotated[
        list[str] | None, typer.Option(help="Heuristics: a domain to give no weight. Repeatable.")
    ] = None,
    bounds: space_options.BoundsOption = None,
    pin: space_options.PinOption = None,
    limit: space_options.LimitOption = None,
    max_active: space_options.MaxActiveOption = None,
    zero_or_at_least: space_options.LeastOption = None,
    among: space_options.AmongOption = None,
    similarity: SimilarityOption = None,
    samples: space_options.SamplesOption = None,
    steps: space_options.StepsOption = None,
    prompts_per_step: space_options.PromptsOption = 2.0,
    epochs: space_options.EpochsOption = 1.0,
    within_reach: space_options.ReachOption = False,
    cost: channels.CostOption = None,
    may_be_proposed: channels.ChannelsOption = None,
    phases: schedule_options.PhasesOption = None,
    shares: schedule_options.SharesOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose mixtures to run next, from a CSV of runs.

    Rows without a score are left out; without any run the first mixtures are proposed.
    """
    from service.search.schedules import ScheduleSpace, mean_of
    from service.search.strategies import STRATEGIES, propose
    from service.search.surrogates import TAKING_CHANNELS, USING_SIMILARITY

    known("strategy", strategy, STRATEGIES)
    wishes = Wishes.of(front, floor, floor_probability, worst, minimize)
    if wishes:
        goal_options.can_pursue("--strategy", strategy)
    scored = score_columns(objective, benchmark, noise_column, wishes)
    goal = wishes.goal(objective, scored.benchmarks)
    costs = channels.costs_of(cost, may_be_proposed)
    if len(costs) > 1 and strategy not in TAKING_CHANNELS:
        raise WrongUse(
            f"--cost: {strategy} proposes full runs alone; "
            f"{', '.join(TAKING_CHANNELS)} choose by cost"
        )
    if len(costs) > 1 and wishes:
        raise WrongUse("--cost: with --floor, --front or --worst full runs alone are proposed")
    length = RunLength(samples or (), steps, prompts_per_step, epochs, within_reach)
    wanted = SpaceOptions(
        *(bounds or (), pin or (), limit or (), max_active, zero_or_at_least or (), among),
        similarity,
    )
    of_phases = schedule_options.shares_of(phases, shares)
    layout = layout_of(weights, normalise, data, pending, among, shares=of_phases)
    case = case_of(data, scored, wanted, layout, length)
    schedule_options.check(case, has_goal=bool(wishes), has_costs=len(costs) > 1)
    schedule_options.can_propose(case, strategy)
    under_way = case.pending(pending)
    within = case.searched
    try:
        proposed = propose(
            strategy,
            within,
            within.runs(case.runs) if isinstance(within, ScheduleSpace) else case.runs,
            under_way.get(TARGET, np.empty((0, within.m))),
            n,
            seed,
            "minimize" if minimize else "maximize",
            budget=budget,
            opening=opening,
            heuristics=HeuristicOptions(alpha_single, _left_out(case.domains, leave_out or [])),
            costs=costs,
            pending_in=under_way,
            goal=goal,
        )
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    schedules = [schedule_options.phases_of(case, item.weights) for item in proposed]
    means = mean_of(
        np.array([item.weights for item in proposed]).reshape(-1, within.m), case.space.m
    )
    proposed = [replace(item, weights=x) for item, x in zip(proposed, means, strict=True)]
    mixtures: list[dict[str, Any]] = [
        {
            "weights": case.space.named(item.weights),
            **({"schedule": schedule} if case.shares else {}),
            "mean": item.mean,
            "sd": item.sd,
            "reason": item.reason,
            "channel": item.channel,
            "cost": item.cost,
            "gain_per_cost": None if item.gain is None else item.gain / item.cost,
            **_with_steps(steps_of(case.domains, length, item.weights)),
        }
        for item, schedule in zip(proposed, schedules, strict=True)
    ]
    console = Console(stderr=True)
    if len(case.unscored):
        console.print(
            f"left out for want of a score: {len(case.unscored)} of the file's rows (--pending "
            "FILE tells mixtures that are being run)",
            style="dim",
        )
    if case.beside:
        console.print(schedule_options.beside_in_words(case), style="dim", markup=False)
    if (
        not case.shares
        and strategy == "auto"
        and (without := extras.left_out_of_auto()) is not None
    ):
        console.print(without, style="dim", markup=False)
    if case.runs.channels and strategy not in TAKING_CHANNELS:
        console.print(
            f"{strategy} proposes from full runs alone; {', '.join(TAKING_CHANNELS)} learn from "
            f"{', '.join(case.runs.channels)}, too",
            style="dim",
            markup=False,
        )
    if case.space.similarity is not None and strategy not in USING_SIMILARITY:
        console.print(
            f"{strategy} does not use --similarity; {', '.join(USING_SIMILARITY)} do",
            style="dim",
            markup=False,
        )
    if not proposed:
        console.print(f"{strategy} waits for the scores of pending mixtures", style="yellow")
    unit = Unit.of(case.runs.score, objective)
    if plot is not None:
        from modomodo import plots

        plots.save(plots.proposals(case.domains, case.runs, proposed, objective, unit), plot)
    if as_json:
        document = {"strategy": strategy, "mixtures": mixtures}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    is_predicted = any(item["mean"] is not None for item in mixtures)
    caption = unit.said if is_predicted else None
    costly = ["to score", "cost in runs"] if len(costs) > 1 else []
    table = Table("", *map(escape, case.domains), "predicted", *costly, caption=caption)
    for i, item in enumerate(mixtures, 1):
        mean, sd = item["mean"], item["sd"]
        predicted = "" if mean is None else unit.with_margin(mean, sd)
        parts = [f"{100 * w:.1f}%" if w else "-" for w in item["weights"].values()]
        what = [escape(item["channel"]), f"{item['cost']:.3g}"] if costly else []
        table.add_row(str(i), *parts, predicted, *what)
        for row in schedule_options.rows(schedules[i - 1]):
            table.add_row(*row, style="dim")
    out = Console()
    out.print(table)
    for i, item in enumerate(mixtures, 1):
        ends = f"; ends at step {item['steps']}" if "steps" in item else ""
        out.print(f"[bold]{i}[/]  {escape(item['reason'])}{ends}")


def _left_out(domains: tuple[str, ...], names: list[str]) -> tuple[int, ...]:
    unknown = [name for name in names if name not in domains]
    if unknown:
        raise WrongUse(f"--leave-out: unknown domain {unknown[0]!r} ({', '.join(domains)})")
    if set(names) == set(domains):
        raise WrongUse("--leave-out names every domain: nothing is left to weigh")
    return tuple(domains.index(name) for name in names)


def _with_steps(steps: int | None) -> dict[str, int]:
    return {} if steps is None else {"steps": steps}
