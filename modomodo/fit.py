"""`modomodo fit`: what a surrogate makes of a file of runs, without a service."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modomodo import space_options
from modomodo.errors import CommandFailed
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
    asked,
    case_of,
    known,
    layout_of,
    named,
)
from modomodo.space_options import Wishes
from service.search.situation import Direction

if TYPE_CHECKING:
    from service.search.diagnostics import Diagnosis


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
    bounds: space_options.BoundsOption = None,
    pin: space_options.PinOption = None,
    limit: space_options.LimitOption = None,
    max_active: space_options.MaxActiveOption = None,
    zero_or_at_least: space_options.LeastOption = None,
    among: space_options.AmongOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a surrogate to a CSV of runs: how far to trust it, and what it says."""
    from service.search.diagnostics import diagnose
    from service.search.surrogates import SURROGATES

    known("surrogate", surrogate, SURROGATES)
    wishes = Wishes(bounds or (), pin or (), limit or (), max_active, zero_or_at_least or (), among)
    layout = layout_of(weights, normalise, data, at, among)
    case = case_of(data, asked(objective, benchmark, noise_column), wishes, layout)
    if len(case.runs) == 0:
        what = f"columns {', '.join(benchmark)}" if benchmark else repr(objective)
        raise CommandFailed(
            f"{case.file}: {what}: no row has a value; `modomodo suggest` proposes the first runs"
        )
    points = case.mixtures(at)
    direction: Direction = "minimize" if minimize else "maximize"
    try:
        found = diagnose(surrogate, case.space, case.runs, seed, direction, points)
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    if plot is not None:
        from modomodo import plots

        plots.save(plots.diagnosis(case.domains, case.runs, found, objective), plot)
    document = {
        "surrogate": surrogate,
        "kind": f"{found.name}: {found.kind}",
        "n": found.n,
        "noise_sd": _finite(found.noise_sd),
        "loo": {
            "r2": _finite(found.loo.r2),
            "spearman": _finite(found.loo.spearman),
            "rmse": _finite(found.loo.rmse),
            "nlpd": _finite(found.loo.nlpd),
            "coverage_90": _finite(found.loo.coverage_90),
            "pit": [_finite(value) for value in found.loo.pit],
        },
        "best": {
            "weights": named(case.domains, found.best.weights),
            "mean": found.best.mean,
            "sd": found.best.sd,
        },
        "effects": _effects(case.domains, found),
        "lessons": [
            {"weights": named(case.domains, x.weights), "gain": x.gain, "mean": x.mean, "sd": x.sd}
            for x in found.lessons
        ],
        "margin": found.margin,
        "chance_of_better": found.chance_of_better,
        "confirmations": [
            {
                "weights": named(case.domains, x.weights),
                "n": x.n,
                "predicted": x.predicted,
                "mean": x.mean,
                "se": x.se,
                "optimism": x.optimism,
            }
            for x in found.confirmations
        ],
        "predictions": [{"mean": x.mean, "sd": x.sd} for x in found.predictions],
        "messages": found.messages,
    }
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        _show(document, found, case.domains, points)


def _effects(domains: tuple[str, ...], found: Diagnosis) -> dict[str, Any]:
    return {
        "alone": {
            name: {"mean": x.mean, "sd": x.sd}
            for name, x in zip(domains, found.effects.alone, strict=True)
        },
        "synergy": {
            f"{domains[i]}*{domains[j]}": {"mean": x.mean, "sd": x.sd}
            for (i, j), x in found.effects.synergy.items()
        },
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _show(
    document: dict[str, Any], found: Diagnosis, domains: tuple[str, ...], points: Any
) -> None:
    console = Console()
    console.print(f"[bold]{escape(document['kind'])}[/], fitted to {found.n} runs")
    loo = document["loo"]
    said = [
        f"{name} {loo[key]:.3g}"
        for name, key in (
            ("R²", "r2"),
            ("Spearman", "spearman"),
            ("RMSE", "rmse"),
            ("90% coverage", "coverage_90"),
        )
        if loo[key] is not None
    ]
    console.print(f"left-out runs: {', '.join(said) or 'too few to tell'}")
    best = document["best"]
    parts = ", ".join(f"{name} {100 * w:.1f}%" for name, w in best["weights"].items() if w > 5e-4)
    console.print(f"best predicted: {best['mean']:.4g} ± {best['sd']:.2g} at {escape(parts)}")
    console.print(
        f"{100 * found.chance_of_better:.0f}% chance that another mixture beats it by more than "
        f"one run's noise ({found.margin:.2g})"
    )
    table = Table("domain", "alone", "±")
    for name, value in document["effects"]["alone"].items():
        table.add_row(escape(name), f"{value['mean']:.4g}", f"{value['sd']:.2g}")
    console.print(table)
    pairs = sorted(document["effects"]["synergy"].items(), key=lambda x: -abs(x[1]["mean"]))
    table = Table("pair", "synergy", "±", title="pairs, largest first" if len(pairs) > 10 else None)
    for name, value in pairs[:10]:
        table.add_row(escape(name), f"{value['mean']:.4g}", f"{value['sd']:.2g}")
    console.print(table)
    if len(points):
        table = Table("", *map(escape, domains), "predicted", "±")
        for i, (x, p) in enumerate(zip(points, document["predictions"], strict=True), 1):
            weights = [f"{100 * w:.1f}%" for w in x]
            table.add_row(str(i), *weights, f"{p['mean']:.4g}", f"{p['sd']:.2g}")
        console.print(table)
    for c in found.confirmations:
        console.print(
            f"run {c.n} times: {c.mean:.4g} ± {c.se:.2g}, predicted without those runs "
            f"{c.predicted:.4g} (optimism {c.optimism:+.2g})"
        )
    for message in found.messages:
        console.print(f"[yellow]•[/] {escape(message)}")
