"""The charts as plain Plotly JSON: data and layout, scores in points of 100.

Colours are roles (`@ink`, `@muted`, `@d3`), not values: whoever draws puts in those of the light
or the dark page (`static/charts.js`). Texts hold only names of the `Name` pattern and numbers, for
Plotly reads a kind of HTML in them. `ids` are trial numbers, with `/` and something more where a
trial has several marks: a click leads to the trial's page.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from service.dashboard import colours, words
from service.dashboard.queries.history import History
from service.schemas import (
    Effects,
    FitPoint,
    Measurement,
    Prediction,
    Score,
    Study,
    StudySpec,
    SurrogateFit,
)

Figure = dict[str, Any]

DRAWN_POINTS = 600
"""Points of a predicted-against-actual chart at most; more would hide each other."""

REACH = 1.0
"""How far beyond the actual scores predictions are drawn, in ranges of the actual scores."""

DRAWN_PAIRS = 15
"""Pairs of the synergy chart at most: those that are most clearly not zero."""


def in_points(value: float) -> float:
    return round(100 * value, 3)


def axis(title: str, **rest: Any) -> dict[str, Any]:
    return {"title": {"text": title}, **rest}


def progress(
    study: Study, history: History, gpu_hours: Mapping[int, float] | None = None
) -> Figure:
    """Every completed trial's objective with its 95% interval, and the best mixture so far.

    Args:
        gpu_hours: of each trial by number, where these are the x-axis: a run stands at what all
            trials up to it have cost. By number of the trial otherwise.

    The intervals are one broken line, not error bars: one element of the page instead of three a
    trial, which is what lets 10,000 trials be drawn.
    """
    place = _places(history, gpu_hours)
    numbers = [run.number for run in history.runs]
    at = [place[number] for number in numbers]
    values = [in_points(run.score.value) for run in history.runs]
    margins = [in_points(words.Z95 * run.score.se) for run in history.runs]
    edges = (0.5, max(numbers[-1], 2) + 0.5) if gpu_hours is None else (0.0, 1.02 * at[-1])
    last = max(numbers[-1], 2) if gpu_hours is None else at[-1]
    bars_x: list[float | None] = []
    bars_y: list[float | None] = []
    for x, value, spread in zip(at, values, margins, strict=True):
        bars_x += [x, x, None]
        bars_y += [round(value - spread, 3), round(value + spread, 3), None]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "lines", "name": "95% interval", "x": bars_x, "y": bars_y,
            "line": {"color": "@faint", "width": 1.5}, "hoverinfo": "skip", "showlegend": False,
        },
        {
            "type": "scatter", "mode": "markers", "name": "trial (95% interval)",
            "x": at, "y": values, "ids": [str(n) for n in numbers],
            "customdata": margins
            if gpu_hours is None
            else list(zip(margins, numbers, strict=True)),
            "marker": {
                "color": "@muted",
                "size": 7 if len(numbers) <= 300 else 4,
                "line": {"color": "@panel", "width": 1 if len(numbers) <= 300 else 0},
            },
            "hovertemplate": "trial %{x}: %{y:.1f} ± %{customdata:.1f}<extra></extra>"
            if gpu_hours is None
            else "trial %{customdata[1]}, %{x:.3g} GPU-hours: "
            "%{y:.1f} ± %{customdata[0]:.1f}<extra></extra>",
        },
    ]  # fmt: skip
    uniform = None if history.uniform is None else history.uniform.score
    for name, score, dash in (
        ("uniform mixture", uniform, "dash"),
        ("base model, untrained", study.baseline_scores.objective, "dot"),
    ):
        if score is not None:
            data += _reference(name, score, dash, edges)
    leads: list[float] = [place[run.number] for run in history.leads] + [last]
    best = [in_points(run.score.value) for run in history.leads]
    spreads = [in_points(words.Z95 * run.score.se) for run in history.leads]
    spreads.append(spreads[-1])
    best.append(best[-1])
    steps: dict[str, Any] = {
        "type": "scatter", "mode": "lines", "x": leads, "legendgroup": "best",
        "line": {"width": 0, "shape": "hv"}, "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip
    low, high = (
        [round(value + side * spread, 3) for value, spread in zip(best, spreads, strict=True)]
        for side in (-1, 1)
    )
    data += [
        steps | {"y": low},
        steps | {"y": high, "fill": "tonexty", "fillcolor": "@lead"},
        steps
        | {
            "name": "best mixture so far", "y": best, "customdata": spreads,
            "showlegend": True, "line": {"color": "@ink", "width": 2.5, "shape": "hv"},
            "hoverinfo": "all",
            "hovertemplate": "best mixture so far: %{y:.1f} ± %{customdata:.1f}<extra></extra>",
        },
    ]  # fmt: skip
    layout: dict[str, Any] = {
        "xaxis": axis("trial number", range=list(edges), tickformat="d", zeroline=False)
        if gpu_hours is None
        else axis("GPU-hours used", range=list(edges), zeroline=False),
        "yaxis": axis(f"{objective_label(study)}, points of 100", zeroline=False),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 60, "r": 16, "t": 56, "b": 52},
    }
    if gpu_hours is None and last < 10:
        layout["xaxis"]["dtick"] = 1
    return {"data": data, "layout": layout}


def _places(history: History, gpu_hours: Mapping[int, float] | None) -> dict[int, float]:
    """Where each run stands on the x-axis, by number."""
    numbers = [run.number for run in history.runs]
    if gpu_hours is None:
        return {number: number for number in numbers}
    known = sorted(gpu_hours.keys() | set(numbers))
    used = itertools.accumulate(gpu_hours.get(number, 0.0) for number in known)
    return dict(zip(known, (float(f"{hours:.6g}") for hours in used), strict=True))


def _reference(
    name: str, score: Score, dash: str, edges: tuple[float, float]
) -> list[dict[str, Any]]:
    value, spread = in_points(score.value), in_points(words.Z95 * score.se)
    ends = list(edges)
    label = f"{name} {words.points(score.value)} ± {words.margin(score.se)}"
    return [
        {
            "type": "scatter", "mode": "lines", "x": [*ends, *ends[::-1]],
            "y": [value - spread, value - spread, value + spread, value + spread],
            "fill": "toself", "fillcolor": "@band", "line": {"width": 0},
            "hoverinfo": "skip", "showlegend": False, "legendgroup": name,
        },
        {
            "type": "scatter", "mode": "lines", "name": label, "x": ends, "y": [value, value],
            "line": {"color": "@muted", "width": 1.5, "dash": dash}, "legendgroup": name,
            "hovertemplate": f"{label}<extra></extra>",
        },
    ]  # fmt: skip


SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")


def learning(study: StudySpec, measurements: Sequence[Measurement]) -> Figure | None:
    """Scores over training steps by the paper's rule: each benchmark, and the objective.

    None while there are scores of one step only.
    """
    by_step: dict[int, list[Measurement]] = {}
    for item in measurements:
        if item.rule == "paper":
            by_step.setdefault(item.step, []).append(item)
    if len(by_step) < 2:
        return None
    steps = sorted(by_step)
    data: list[dict[str, Any]] = []
    for place, benchmark in enumerate(study.benchmarks):
        found = [(s, m) for s in steps for m in by_step[s] if m.benchmark == benchmark.name]
        if found:
            scores = [Score(value=m.score, se=m.sampling_error()) for _, m in found]
            symbol = SYMBOLS[place % len(SYMBOLS)]
            at = [step for step, _ in found]
            data.append(_curve(benchmark.name, at, scores, "@muted", symbol, 1))
    whole = [(step, study.scores(by_step[step]).objective) for step in steps]
    known = [(step, score) for step, score in whole if score is not None]
    if known:
        name, at = objective_label(study), [step for step, _ in known]
        data.append(_curve(name, at, [score for _, score in known], "@ink", "circle", 2.5))
    layout = {
        "xaxis": axis("training step", zeroline=False),
        "yaxis": axis("score, points of 100", zeroline=False),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 56, "r": 12, "t": 48, "b": 52},
    }
    return {"data": data, "layout": layout}


def _curve(
    name: str, steps: list[int], scores: list[Score], colour: str, symbol: str, width: float
) -> dict[str, Any]:
    margins = [in_points(words.Z95 * score.se) for score in scores]
    return {
        "type": "scatter", "mode": "lines+markers", "name": name,
        "x": steps, "y": [in_points(score.value) for score in scores], "customdata": margins,
        "error_y": {
            "type": "data", "array": margins, "color": colour, "thickness": 1, "width": 0,
        },
        "line": {"color": colour, "width": width},
        "marker": {"color": colour, "symbol": symbol, "size": 7},
        "hovertemplate": f"{name} at step %{{x}}: %{{y:.1f}} ± %{{customdata:.1f}}<extra></extra>",
    }  # fmt: skip


def objective_label(study: StudySpec) -> str:
    """`Out-Score`, `In-Score`, or the study's own name for it."""
    known = {"out_score": "Out-Score", "in_score": "In-Score"}
    return known.get(study.objective.name, study.objective.name)


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
    name = objective_label(study)
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
    rows = [
        (name, effects.alone[name], f"@d{look.colour}")
        for name, look in reversed(looks.items())
        if name in effects.alone
    ]
    return _dots(rows, f"predicted {objective_label(study)}, points")


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
    figure = _dots(rows, "gain of the blend, points")
    figure["layout"]["xaxis"] |= {"zeroline": True, "zerolinecolor": "@muted"}
    return figure


def _clearness(value: Prediction) -> float:
    return abs(value.mean) / value.sd if value.sd > 0 else float("inf")


def _dots(rows: Sequence[tuple[str, Prediction, str]], title: str) -> Figure:
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
        "height": 90 + 28 * max(len(rows), 2),
        "xaxis": axis(title, zeroline=False),
        # Names that look like numbers or dates stay names.
        "yaxis": {"type": "category", "automargin": True, "showgrid": False},
        "margin": {"l": 12, "r": 16, "t": 8, "b": 52},
    }
    return {"data": data, "layout": layout}
