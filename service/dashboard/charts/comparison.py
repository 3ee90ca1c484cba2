"""Charts of several studies side by side (`figure.py` says how charts are made)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from service.dashboard import words
from service.dashboard.charts import leads
from service.dashboard.charts.figure import (
    LEGEND_LETTERS,
    TITLE_LETTERS,
    Figure,
    axis,
    in_points,
    whole_names,
)
from service.dashboard.queries.history import History
from service.schemas import Prediction

COLOURS = ("@d4", "@d5", "@d2", "@d6", "@ink")
"""A study's, by its place; those of `colours.py` that show on light and dark pages as lines."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")

Along = Literal["run", "gpu_hours"]
TITLES: dict[Along, str] = {"run": "completed runs", "gpu_hours": "GPU-hours used"}

ROW_PX = 26
"""Height of a study's line in the chart of domains."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What a study has found, and what its trials have cost in GPU-hours by their numbers."""

    name: str
    history: History
    gpu_hours: Mapping[int, float]


def best_so_far(studies: Sequence[Searched], label: str, by: Along) -> Figure | None:
    """The mean of the best mixture so far in each study, with its 95% interval; None without a
    run."""
    short = words.short_names([study.name for study in studies], LEGEND_LETTERS)
    data: list[dict[str, Any]] = []
    for place, study in enumerate(studies):
        if study.history.leads:
            data += _steps(study, short[study.name], place, by)
    if not data:
        return None
    layout = {
        "xaxis": axis(TITLES[by], rangemode="tozero", zeroline=False),
        "yaxis": axis(f"{words.elided(label, TITLE_LETTERS)}, points of 100", zeroline=False),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 60, "r": 16, "t": 56, "b": 52},
        "meta": whole_names(short),
    }
    return {"data": data, "layout": layout}


def _steps(study: Searched, name: str, place: int, by: Along) -> list[dict[str, Any]]:
    numbers = [run.number for run in study.history.runs]
    at: Mapping[int, float] = {number: n for n, number in enumerate(numbers, 1)}
    if by == "gpu_hours":
        at = leads.hours_up_to(numbers, study.gpu_hours)
    x = [at[number] for number in [*(one.number for one in study.history.leads), numbers[-1]]]
    line = {"color": COLOURS[place], "dash": DASHES[place]}
    return leads.steps(name, study.history.leads, x, line, "@band")


def alone(
    effects: Sequence[Mapping[str, Prediction]],
    names: Sequence[str],
    domains: Sequence[str],
    label: str,
) -> Figure:
    """What each study's surrogate predicts of every domain alone, with 95% intervals.

    Args:
        effects: by domain, of each study; empty of one that has no fit.
        names: of the studies.
        domains: of all of them.
    """
    n, short = len(names), words.short_names(names, LEGEND_LETTERS)
    data: list[dict[str, Any]] = []
    for place, (name, found) in enumerate(zip(names, effects, strict=True)):
        known = [(row, found[domain]) for row, domain in enumerate(domains) if domain in found]
        if not known:
            continue
        margins = [in_points(words.Z95 * one.sd) for _, one in known]
        data.append(
            {
                "type": "scatter", "mode": "markers", "name": short[name],
                "x": [in_points(one.mean) for _, one in known],
                # The studies of a domain below each other, in its row.
                "y": [round(row + 0.7 * ((place + 0.5) / n - 0.5), 3) for row, _ in known],
                "error_x": {
                    "type": "data", "array": margins, "color": COLOURS[place], "thickness": 1.5,
                    "width": 0,
                },
                "text": [
                    f"{name}, {domains[row]} alone: {words.points(one.mean)} ± "
                    f"{words.margin(one.sd)}"
                    for row, one in known
                ],
                "hovertemplate": "%{text}<extra></extra>",
                "marker": {"color": COLOURS[place], "symbol": SYMBOLS[place], "size": 9},
            }
        )  # fmt: skip
    shown = words.short_names(domains, LEGEND_LETTERS)
    layout = {
        "height": 110 + ROW_PX * n * len(domains),
        "xaxis": axis(f"predicted {words.elided(label, TITLE_LETTERS)}, points", zeroline=False),
        "yaxis": axis(
            "", tickvals=list(range(len(domains))), ticktext=list(shown.values()), zeroline=False,
            range=[len(domains) - 0.5, -0.5], automargin=True,
        ),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 60, "r": 16, "t": 40, "b": 52},
        "meta": whole_names(short | shown),
    }  # fmt: skip
    return {"data": data, "layout": layout}


SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross")
"""A study's mark, by its place: they are told apart without colour too."""
