"""Charts of a surrogate's fit: how well it predicts runs left out, and what it has learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.dashboard import colours, words
from service.dashboard.charts.figure import (
    LEGEND_LETTERS,
    Figure,
    axis,
    in_points,
    name_axis,
    objective_title,
    whole_names,
)
from service.schemas import Effects, FitPoint, Prediction, StudySpec, SurrogateFit

DRAWN_POINTS = 600
"""Points of a predicted-against-actual chart at most; more would hide each other."""

REACH = 1.0
"""How far beyond the actual scores predictions are drawn, in ranges of the actual scores."""

PAIR_LETTERS = 11
"""Of each of two domains' names beside such a pair."""

DRAWN_PAIRS = 15
"""Pairs of the synergy chart at most: those that are most clearly not zero."""


def of_fit(study: StudySpec, fit: SurrogateFit) -> dict[str, Figure]:
    """Charts of a fit by name; none before a run can be predicted from the others.

    Until then effects would show the prior as if it were learned.
    """
    found: dict[str, Figure] = {}
    if fit.points:
        found["loo"] = predicted_against_actual(study, fit.points)
        if fit.effects and fit.effects.alone:
            found["alone"] = own_values(study, fit.effects)
        if fit.effects and fit.effects.synergy:
            found["synergy"] = synergies(study, fit.effects)
    return found


def is_inside(point: FitPoint) -> bool:
    """Whether the actual score lies in the 95% interval of its leave-one-out prediction."""
    return abs(point.actual - point.mean) <= words.Z95 * point.sd


def drawn(points: Sequence[FitPoint]) -> list[FitPoint]:
    """At most `DRAWN_POINTS` of them, spread evenly over the trials."""
    step = max(1, -(-len(points) // DRAWN_POINTS))
    return list(points)[::step]


def predicted_against_actual(study: StudySpec, points: Sequence[FitPoint]) -> Figure:
    """Leave-one-out means with their 95% intervals against the actual scores.

    A fit with hardly more runs than terms can miss by hundreds of points. What lies far beyond the
    actual scores is put at the edge, so that the rest can still be read.
    """
    shown = drawn(points)
    x_range, y_range = _ranges(shown)
    ends = [min(x_range[0], y_range[0]), max(x_range[1], y_range[1])]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "lines", "x": ends, "y": ends, "name": "exact",
            "line": {"color": "@faint", "width": 1.5, "dash": "dash"}, "hoverinfo": "skip",
            "showlegend": False,
        }
    ]  # fmt: skip
    low, high = y_range
    kinds: dict[tuple[str, str, str], list[FitPoint]] = {
        ("inside its 95% interval", "@ink", "circle"): [],
        ("outside", "@bad", "diamond"): [],
        ("beyond the chart", "@bad", "triangle-up"): [],
        ("beyond the chart ", "@bad", "triangle-down"): [],
    }
    inside, outside, above, below = kinds.values()
    for point in shown:
        mean = in_points(point.mean)
        kind = above if mean > high else below if mean < low else outside
        (inside if kind is outside and is_inside(point) else kind).append(point)
    for (name, colour, symbol), part in kinds.items():
        if part:
            data.append(_fit_points(part, name, colour, symbol, y_range))
    name = objective_title(study)
    layout = {
        "xaxis": axis(f"actual {name}, points", range=x_range, zeroline=False),
        "yaxis": axis(f"predicted {name}, points", range=y_range, zeroline=False),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 56, "r": 12, "t": 40, "b": 52},
    }
    return {"data": data, "layout": layout}


def _fit_points(
    part: Sequence[FitPoint], name: str, colour: str, symbol: str, y_range: list[float]
) -> dict[str, Any]:
    margins = [in_points(words.Z95 * point.sd) for point in part]
    means = [in_points(point.mean) for point in part]
    low, high = y_range
    return {
        "type": "scatter", "mode": "markers", "name": name.strip(),
        "x": [in_points(point.actual) for point in part],
        "y": [min(max(mean, low), high) for mean in means],
        "error_y": {
            "type": "data", "symmetric": False, "color": colour, "thickness": 1, "width": 0,
            "array": [
                max(0.0, min(mean + m, high) - min(max(mean, low), high))
                for mean, m in zip(means, margins, strict=True)
            ],
            "arrayminus": [
                max(0.0, min(max(mean, low), high) - max(mean - m, low))
                for mean, m in zip(means, margins, strict=True)
            ],
        },
        "customdata": [
            [point.number, mean, m] for point, mean, m in zip(part, means, margins, strict=True)
        ],
        "ids": [str(point.number) for point in part],
        "cliponaxis": False,
        "marker": {
            "color": colour, "symbol": symbol, "size": 8, "line": {"color": "@panel", "width": 1},
        },
        "hovertemplate": "trial %{customdata[0]}: actual %{x:.1f}, "
        "predicted %{customdata[1]:.1f} ± %{customdata[2]:.1f}<extra></extra>",
    }  # fmt: skip


def _ranges(points: Sequence[FitPoint]) -> tuple[list[float], list[float]]:
    """Range of the actual scores, and of the predictions as far as they are near."""
    actual = [in_points(point.actual) for point in points]
    low, high = min(actual), max(actual)
    span = max(high - low, 1.0)
    edges = [in_points(p.mean + words.Z95 * side * p.sd) for p in points for side in (-1, 1)]
    y_low = max(min([low, *edges]), low - REACH * span)
    y_high = min(max([high, *edges]), high + REACH * span)
    room = 0.06 * (y_high - y_low)
    return [low - 0.08 * span, high + 0.08 * span], [y_low - room, y_high + room]


def own_values(study: StudySpec, effects: Effects) -> Figure:
    """Predicted objective of each domain alone, with 95% intervals.

    In the study's order, the first on top, so that two surrogates can be compared line by line.
    """
    looks = colours.looks([domain.name for domain in study.domains])
    there = [name for name in reversed(looks) if name in effects.alone]
    figure = dots(
        [(name, effects.alone[name], f"@d{looks[name].colour}") for name in there],
        words.short_names(there, LEGEND_LETTERS),
        f"predicted {objective_title(study)}",
    )
    figure["data"][0]["marker"]["symbol"] = [looks[name].symbol for name in there]
    return figure


def synergies(study: StudySpec, effects: Effects) -> Figure:
    """What an equal blend of two domains gains over their mean, with 95% intervals.

    Where there are too many pairs, those that are most clearly not zero.
    """
    clearest = sorted(effects.synergy, key=lambda pair: -_clearness(effects.synergy[pair]))
    drawn = set(clearest[:DRAWN_PAIRS])
    rows = [
        (pair.replace("*", " × "), Prediction(mean=value.mean / 4, sd=value.sd / 4), "@ink")
        for pair, value in reversed(effects.synergy.items())
        if pair in drawn
    ]
    short = words.short_names([domain.name for domain in study.domains], PAIR_LETTERS)
    shown = {pair: " × ".join(short[name] for name in pair.split(" × ")) for pair, _, _ in rows}
    figure = dots(rows, shown, "gain of the blend")
    figure["layout"]["xaxis"] |= {"zeroline": True, "zerolinecolor": "@muted"}
    return figure


def _clearness(value: Prediction) -> float:
    return abs(value.mean) / value.sd if value.sd > 0 else float("inf")


def dots(
    rows: Sequence[tuple[str, Prediction, str]], shown: Mapping[str, str], title: str
) -> Figure:
    """A row each with name, value and colour; `shown` says how the names are, `title` what the
    values are, in points."""
    margins = [in_points(words.Z95 * value.sd) for _, value, _ in rows]
    data = [
        {
            "type": "scatter", "mode": "markers", "showlegend": False,
            "x": [in_points(value.mean) for _, value, _ in rows],
            "y": [name for name, _, _ in rows],
            "error_x": {
                "type": "data", "array": margins, "color": "@muted", "thickness": 1.5, "width": 0,
            },
            "customdata": margins,
            "marker": {
                "color": [colour for _, _, colour in rows], "size": 11,
                "line": {"color": "@panel", "width": 1},
            },
            "hovertemplate": "%{y}: %{x:.1f} ± %{customdata:.1f}<extra></extra>",
        }
    ]  # fmt: skip
    layout = {
        "height": 106 + 28 * max(len(rows), 2),
        # In two lines: on a phone there is little room beside the names.
        "xaxis": axis(f"{title}<br>points", zeroline=False),
        "yaxis": name_axis(shown, showgrid=False),
        "margin": {"l": 12, "r": 24, "t": 8, "b": 68},
        "meta": whole_names(shown),
    }
    return {"data": data, "layout": layout}
