"""Pictures of proposals and fits, drawn by matplotlib; an HTML file holds the picture inline."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modomodo.errors import CommandFailed, WrongUse
from modomodo.extras import need
from modomodo.units import Unit
from service.search.counts import counted
from service.search.diagnostics import Diagnosis
from service.search.intervals import Z95
from service.search.runs import Runs
from service.search.situation import Proposed

ENDINGS = (".html", ".png", ".svg")
SHOWN_PAIRS = 12


def save(figure: Any, path: Path) -> None:
    """Writes a figure as its file's ending says.

    Raises:
        WrongUse: another ending.
        CommandFailed: a place that cannot be written.
    """
    if path.suffix not in ENDINGS:
        raise WrongUse(f"--plot {path}: the name must end in {', '.join(ENDINGS)}")
    try:
        if path.suffix == ".html":
            drawn = io.StringIO()
            figure.savefig(drawn, format="svg")
            svg = drawn.getvalue()
            svg = svg[svg.index("<svg") :]
            title = html.escape(figure.get_suptitle() or "MoDoMoDo")
            path.write_text(
                f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
                f"<body>{svg}</body></html>\n",
                encoding="utf-8",
            )
        else:
            figure.savefig(path, dpi=150)
    except OSError as error:
        raise CommandFailed(f"--plot: cannot write {path}: {error}") from error


def proposals(
    domains: Sequence[str], runs: Runs, proposed: Sequence[Proposed], objective: str, unit: Unit
) -> Any:
    """The proposed mixtures as stacked bars, their predictions beside the scores of the runs."""
    figure = _figure(f"Proposed mixtures for {objective}", 10, 1.6 + 0.45 * max(4, len(proposed)))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    places = np.arange(len(proposed))
    start = np.zeros(len(proposed))
    for i, domain in enumerate(domains):
        width = np.array([item.weights[i] for item in proposed])
        left.barh(places, width, left=start, label=domain, color=_colour(i))
        start += width
    left.set(xlim=(0, 1), xlabel="weight", yticks=places, yticklabels=places + 1)
    left.invert_yaxis()
    left.legend(ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=8)
    right.plot(
        unit.factor * runs.score,
        np.full(len(runs), len(proposed)),
        "|",
        color="grey",
        markersize=12,
    )
    for place, item in enumerate(proposed):
        if item.mean is not None:
            margin = unit.factor * Z95 * (item.sd or 0)
            right.errorbar(unit.factor * item.mean, place, xerr=margin, fmt="o", color="black")
    ticks = [*places, len(proposed)]
    right.set(
        xlabel=f"{objective}, {unit.name}, 95% intervals",
        yticks=ticks,
        yticklabels=[*places + 1, "runs"],
    )
    right.invert_yaxis()
    return figure


def diagnosis(
    domains: Sequence[str], runs: Runs, found: Diagnosis, objective: str, unit: Unit
) -> Any:
    """Left-out predictions against scores, domains alone, and the clearest synergies."""
    n, by = counted(found.n, "run"), unit.factor
    figure = _figure(
        f"{found.name}: {found.kind} ({n}, {objective} in {unit.name}, 95% intervals)", 12, 4.6
    )
    fit, alone, synergy = figure.subplots(1, 3)
    known = np.isfinite(found.loo.mean)
    if known.any():
        fit.errorbar(
            by * found.loo.mean[known],
            by * runs.score[known],
            xerr=by * Z95 * found.loo.sd[known],
            fmt="o",
            markersize=4,
            elinewidth=0.8,
            color=_colour(0),
        )
        ends = [by * runs.score.min(), by * runs.score.max()]
        fit.plot(ends, ends, "--", color="grey", linewidth=1)
    fit.set(xlabel="predicted without the run", ylabel=f"{objective} of the run")
    places = np.arange(len(domains))
    values = found.effects.alone
    alone.errorbar(
        [by * x.mean for x in values],
        places,
        xerr=[by * Z95 * x.sd for x in values],
        fmt="o",
        color="black",
    )
    alone.set(yticks=places, yticklabels=domains, xlabel=f"{objective} of the domain alone")
    alone.invert_yaxis()
    pairs = sorted(found.effects.synergy.items(), key=lambda item: -abs(item[1].mean))
    pairs = pairs[:SHOWN_PAIRS]
    places = np.arange(len(pairs))
    synergy.axvline(0, color="grey", linewidth=1)
    synergy.errorbar(
        [by * x.mean / 4 for _, x in pairs],
        places,
        xerr=[by * Z95 * x.sd / 4 for _, x in pairs],
        fmt="o",
        color="black",
    )
    names = [f"{domains[i]} · {domains[j]}" for (i, j), _ in pairs]
    synergy.set(yticks=places, yticklabels=names, xlabel="equal blend over the mean of the two")
    synergy.invert_yaxis()
    return figure


def _figure(title: str, width: float, height: float) -> Any:
    need("plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure


def _colour(i: int) -> Any:
    from matplotlib import colormaps

    return colormaps["tab20"](i % 20)
