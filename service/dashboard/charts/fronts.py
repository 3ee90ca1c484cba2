"""The front of a study's objectives as a surrogate sees it, beside what was run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.dashboard import words
from service.dashboard.charts.figure import TITLE_LETTERS, Figure, axis, in_points
from service.schemas import GoalAnswer, GoalPoint
from service.study.runs import MeasuredRun

CHOSEN = "chosen"
"""Name of the trace that the slider moves."""
TITLES = {"out_score": "Out-Score", "in_score": "In-Score"}


def front(runs: Sequence[MeasuredRun], answer: GoalAnswer, places: Sequence[int]) -> Figure:
    """The first two objectives of every run and along the front, with 95% intervals; a third is
    said of each point.

    Args:
        places: of the objectives in each run's `outputs`.
    """
    x, y, *_ = answer.objectives
    choice = answer.front[answer.choice or 0]
    data = [
        {
            "type": "scatter", "mode": "markers", "name": "run",
            "x": [in_points(run.outputs[places[0]]) for run in runs],
            "y": [in_points(run.outputs[places[1]]) for run in runs],
            "ids": [str(run.number) for run in runs],
            "text": [f"trial {run.number}" for run in runs],
            "hovertemplate": "%{text}: %{x:.1f} and %{y:.1f}<extra></extra>",
            "marker": {"color": "@muted", "size": 8, "line": {"color": "@panel", "width": 1}},
        },
        _marks(answer.front, x, y, "front", "@d4", 7)
        | {"mode": "lines+markers", "line": {"color": "@d4", "width": 2}},
        _marks([choice], x, y, CHOSEN, "@d5", 15),
    ]  # fmt: skip
    layout = {
        "xaxis": axis(f"{words.elided(title(x), TITLE_LETTERS)}, points of 100", zeroline=False),
        "yaxis": axis(f"{words.elided(title(y), TITLE_LETTERS)}, points of 100", zeroline=False),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 60, "r": 16, "t": 48, "b": 56},
    }
    return {"data": data, "layout": layout}


def title(name: str) -> str:
    """What an objective is called on a page."""
    return TITLES.get(name, name)


def _marks(
    points: Sequence[GoalPoint], x: str, y: str, name: str, colour: str, size: int
) -> dict[str, Any]:
    def bars(of: str) -> dict[str, Any]:
        margins = [in_points(words.Z95 * point.values[of].sd) for point in points]
        return {"type": "data", "array": margins, "color": colour, "thickness": 1, "width": 0}

    return {
        "type": "scatter", "mode": "markers", "name": name,
        "x": [in_points(point.values[x].mean) for point in points],
        "y": [in_points(point.values[y].mean) for point in points],
        "error_x": bars(x), "error_y": bars(y),
        "text": [words.mixture(point.weights) for point in points],
        "hovertemplate": "%{text}: %{x:.1f} and %{y:.1f}<extra></extra>",
        "marker": {"color": colour, "size": size, "line": {"color": "@panel", "width": 1}},
    }  # fmt: skip
