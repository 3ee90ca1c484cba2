"""Charts of several runs over their training steps, a colour and a dash a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.dashboard import words
from service.dashboard.charts.comparison import DASHES
from service.dashboard.charts.curves import LINES, SMOOTHED_FROM, STEP, plain, smoothed, window
from service.dashboard.charts.figure import Figure, axis, in_points, objective_label
from service.dashboard.charts.study import SYMBOLS
from service.dashboard.queries.overlay import Laid, Overlay
from service.study import learned

PARTS = 6
"""Domains of a mixture that are told when a line is pointed at: the heaviest."""


def metric(shown: Overlay) -> Figure | None:
    """The metric of every run that spoke of it, of many points a moving mean; None without one."""
    data = [
        _of_metric(one, place, shown.metric)
        for place, one in enumerate(shown.laid)
        if one.learned is not None
    ]
    return _figure(data, plain(shown.metric)) if data else None


def scores(shown: Overlay) -> Figure | None:
    """The objective of every run at the steps it was scored at, with 95% intervals; None unless
    some run was scored on its way."""
    if not any(len(one.scores) > 1 for one in shown.laid):
        return None
    data = [_of_scores(one, place) for place, one in enumerate(shown.laid) if one.scores]
    return _figure(data, f"{objective_label(shown.study)}, points of 100")


def _of_metric(one: Laid, place: int, name: str) -> dict[str, Any]:
    known = learned.points(one.curve, name)
    values = [float(f"{value:.5g}") for _, value in known]
    said = "%{y:.4g}"
    if len(values) >= SMOOTHED_FROM:
        width = window(len(values))
        values, said = smoothed(values, width), f"{said} (mean of {width} points)"
    few = {"mode": "lines+markers"} if len(values) < SMOOTHED_FROM else {"mode": "lines"}
    return _line(one, place) | few | {
        "x": [step for step, _ in known], "y": values,
        "ids": [f"{one.trial.number}/{step}" for step, _ in known],
        "hovertemplate": f"{_name(one)} at step %{{x}}: {said}<br>{_mixture(one)}<extra></extra>",
    }  # fmt: skip


def _of_scores(one: Laid, place: int) -> dict[str, Any]:
    margins = [in_points(words.Z95 * score.se) for score in one.scores.values()]
    bars = {"type": "data", "array": margins, "color": look(place)[0], "thickness": 1, "width": 0}
    return _line(one, place) | {
        "mode": "lines+markers",
        "x": list(one.scores), "y": [in_points(score.value) for score in one.scores.values()],
        "error_y": bars, "customdata": margins,
        "ids": [f"{one.trial.number}/{step}" for step in one.scores],
        "hovertemplate": f"{_name(one)} at step %{{x}}: %{{y:.1f}} ± %{{customdata:.1f}}"
        f"<br>{_mixture(one)}<extra></extra>",
    }  # fmt: skip


def _line(one: Laid, place: int) -> dict[str, Any]:
    colour, dash = look(place)
    return {
        "type": "scatter", "name": _name(one),
        "line": {"color": colour, "dash": dash, "width": 2.2},
        "marker": {"color": colour, "symbol": SYMBOLS[place % len(SYMBOLS)], "size": 6},
    }  # fmt: skip


def look(place: int) -> tuple[str, str]:
    """Colour and dash of the line at a place; no two of forty are the same."""
    return LINES[place % len(LINES)], DASHES[place % len(DASHES)]


def _name(one: Laid) -> str:
    return f"trial {one.trial.number}"


def _mixture(one: Laid) -> str:
    weights = {name: weight for name, weight in one.trial.mixture.items() if weight > 0}
    heaviest = sorted(weights, key=lambda name: -weights[name])[:PARTS]
    said = words.mixture({name: weights[name] for name in weights if name in heaviest})
    return said + (f" and {len(weights) - PARTS} more" if len(weights) > PARTS else "")


def _figure(data: Sequence[dict[str, Any]], title: str) -> Figure:
    layout = {
        "xaxis": axis(STEP, zeroline=False, tickformat="d", rangemode="tozero"),
        "yaxis": axis(title, zeroline=False),
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 60, "r": 16, "t": 60, "b": 52},
    }
    return {"data": list(data), "layout": layout}
