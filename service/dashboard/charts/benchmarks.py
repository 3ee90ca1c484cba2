"""Charts of benchmarks: every run on every one, and what one score costs another."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.dashboard import words
from service.dashboard.charts.figure import (
    TITLE_LETTERS,
    Figure,
    axis,
    in_points,
    name_axis,
    whole_names,
)
from service.schemas import Score

ROWS = 50
"""Runs of the heat map: the best ones."""

LETTERED = 10
"""Columns of the heat map up to which its cells have room for a score."""

HEAD_LETTERS = 14
"""Of a benchmark's name above its column."""

HEAD_PX = 66
"""Height of the bar of colours above the columns' names."""

TITLE_PX = 58
"""From the top down to where the bar's title ends."""

LETTER_PX = 9
"""Width of a letter of a name, which stands upright where columns are narrow."""

BARRED = 150
"""Completed runs up to which all have their intervals drawn; of more, those of the front do."""

DRAWN = 600
"""Runs of a trade-off at most, beside those of the front."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A completed run with every score it has, by name."""

    number: int
    scores: Mapping[str, Score]
    is_uniform: bool


LABEL_PX = 116
"""Beside the heat map: `uniform 3000` and the axis's title have room there."""

BASE = "base model"
"""The untrained model's row in the heat map, in place of a trial's number."""


def heat_map(
    runs: Sequence[Scored], titles: Mapping[str, str], base: Mapping[str, Score]
) -> Figure:
    """Scores of the first `ROWS` runs against the median of all, a column for each title; below
    them the first run of equal weights, if it is none of them, and the base model.

    Args:
        base: scores of the untrained model; empty where it was not scored.
    """
    medians = {
        name: statistics.median(run.scores[name].value for run in runs if name in run.scores)
        for name in titles
        if any(name in run.scores for run in runs)
    }
    columns = list(medians)
    rows = list(runs[:ROWS])
    if not any(run.is_uniform for run in rows):
        rows += [run for run in runs if run.is_uniform][:1]
    if base:
        rows.append(_untrained(base))
    rows.reverse()
    z = [[_above(run, name, medians) for name in columns] for run in rows]
    reach = max((abs(value) for row in z for value in row if value is not None), default=0.0)
    reach = reach or 1.0
    is_narrow = len(columns) <= LETTERED
    shown = words.short_names([titles[name] for name in columns], HEAD_LETTERS)
    head = HEAD_PX + LETTER_PX * max(map(len, shown.values()), default=0)
    data = [
        {
            "type": "heatmap", "z": z, "x": [titles[name] for name in columns],
            "y": [_row(run) for run in rows],
            "customdata": [[_said(run, name, medians) for name in columns] for run in rows],
            "text": [[_plain(run, name) for name in columns] for run in rows],
            **({"texttemplate": "%{text}"} if is_narrow else {}),
            "meta": "trials", "hovertemplate": "%{customdata}<extra></extra>", "xgap": 1, "ygap": 1,
            "zmin": -reach, "zmax": reach,
            "colorscale": [[0, "@d5"], [0.5, "@well"], [1, "@d4"]],
            "colorbar": {
                "tickfont": {"color": "@soft"}, "thickness": 10, "len": 0.6, "outlinewidth": 0,
                "orientation": "h", "x": 0.5, "y": 1, "yref": "container", "yanchor": "top",
                "ypad": 10, "nticks": 4, "tickangle": 0,
            },
        }
    ]  # fmt: skip
    layout = {
        "height": head + 22 * max(len(rows), 3) + 22,
        # Margins that grow by themselves take the whole height of a window that is made smaller.
        "xaxis": name_axis(shown, side="top", showgrid=False, ticks="", automargin=False),
        "yaxis": name_axis(
            {_row(run): f"uniform {_row(run)}" if run.is_uniform else _row(run) for run in rows},
            title={"text": "trial"},
            showgrid=False,
            ticks="",
            automargin=False,
        ),
        "margin": {"l": LABEL_PX, "r": 12, "t": head, "b": 16},
        # A title of the bar's own is the further below it the less high the chart is.
        "annotations": [
            {
                "text": "points above the median",
                "showarrow": False,
                "font": {"color": "@soft"},
                "x": 0.5,
                "xref": "paper",
                "y": 1,
                "yref": "paper",
                "yanchor": "bottom",
                "yshift": head - TITLE_PX,
            }
        ],
        "meta": whole_names(shown),
    }
    return {"data": data, "layout": layout}


def _untrained(base: Mapping[str, Score]) -> Scored:
    """The base model as if it were a run, with no trial's number."""
    return Scored(0, base, is_uniform=False)


def _row(run: Scored) -> str:
    return str(run.number) if run.number else BASE


def _plain(run: Scored, name: str) -> str:
    score = run.scores.get(name)
    return "" if score is None else words.points(score.value)


def _above(run: Scored, name: str, medians: Mapping[str, float]) -> float | None:
    score = run.scores.get(name)
    return None if score is None else round(100 * (score.value - medians[name]), 2)


def _said(run: Scored, name: str, medians: Mapping[str, float]) -> str:
    score = run.scores.get(name)
    whose = f"trial {run.number}" + (", uniform" if run.is_uniform else "")
    whose = whose if run.number else BASE
    if score is None:
        return f"{whose}, {name}: not measured"
    return (
        f"{whose}, {name}: {words.points(score.value)} ± {words.margin(score.se)} "
        f"({words.gain(score.value - medians[name])})"
    )


def front(runs: Sequence[Scored], x: str, y: str, *, is_maximized: bool) -> list[Scored]:
    """The runs that no other beats on one score without losing on the other, by `x`."""
    sign = 1 if is_maximized else -1
    both = [run for run in runs if x in run.scores and y in run.scores]
    both.sort(key=lambda run: (-sign * run.scores[x].value, -sign * run.scores[y].value))
    best: list[Scored] = []
    for run in both:
        if not best or sign * run.scores[y].value > sign * best[-1].scores[y].value:
            best.append(run)
    return best[::-1]


def trade_off(
    runs: Sequence[Scored],
    best: Sequence[Scored],
    base: Mapping[str, Score],
    axes: tuple[tuple[str, str], tuple[str, str]],
) -> Figure:
    """Two scores of every run with 95% intervals, and the runs of the front in a line.

    Args:
        best: as `front` gives them.
        base: scores of the untrained model.
        axes: name and title of the x axis and of the y axis.
    """
    (x, x_title), (y, y_title) = axes
    on_front = {run.number for run in best}
    others = [
        run for run in runs if x in run.scores and y in run.scores and run.number not in on_front
    ]
    others = others[:: max(1, -(-len(others) // DRAWN))]
    uniform = [run for run in others if run.is_uniform]
    plain = [run for run in others if not run.is_uniform]
    data = []
    for part, name, colour, symbol in (
        (plain, "run", "@muted", "circle"),
        (uniform, "uniform mixture", "@d5", "diamond"),
    ):
        if part:
            marks = _marks(part, x, y, name, colour, symbol)
            if len(others) > BARRED and part is plain:
                del marks["error_x"], marks["error_y"]
            data.append(marks)
    if x in base and y in base:
        untrained = _untrained(base)
        marks = _marks([untrained], x, y, "base model, untrained", "@muted", "x")
        data.append(marks | {"ids": None, "text": ["base model"]})
    line = _marks(best, x, y, "Pareto front", "@d4", "circle")
    data.append(line | {"mode": "lines+markers", "line": {"color": "@d4", "width": 2}})
    layout = {
        "xaxis": axis(f"{words.elided(x_title, TITLE_LETTERS)}, points of 100", zeroline=False),
        "yaxis": axis(f"{words.elided(y_title, TITLE_LETTERS)}, points of 100", zeroline=False),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 60, "r": 16, "t": 48, "b": 56},
    }
    return {"data": data, "layout": layout}


def _marks(
    part: Sequence[Scored], x: str, y: str, name: str, colour: str, symbol: str
) -> dict[str, Any]:
    def bars(of: str) -> dict[str, Any]:
        margins = [in_points(words.Z95 * run.scores[of].se) for run in part]
        faint = "@faint" if colour == "@muted" else colour
        return {"type": "data", "array": margins, "color": faint, "thickness": 1, "width": 0}

    return {
        "type": "scatter", "mode": "markers", "name": name,
        "x": [in_points(run.scores[x].value) for run in part],
        "y": [in_points(run.scores[y].value) for run in part],
        "error_x": bars(x), "error_y": bars(y),
        "ids": [str(run.number) for run in part],
        "text": [_pair(run, x, y) for run in part],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "color": colour, "symbol": symbol, "size": 8, "line": {"color": "@panel", "width": 1},
        },
    }  # fmt: skip


def _pair(run: Scored, x: str, y: str) -> str:
    said = [
        f"{words.points(run.scores[n].value)} ± {words.margin(run.scores[n].se)}" for n in (x, y)
    ]
    return f"trial {run.number}: {said[0]} and {said[1]}"
