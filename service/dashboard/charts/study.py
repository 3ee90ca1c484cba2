"""Charts of a study's runs and of one run's scores (`figure.py` says how charts are made)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.dashboard import words
from service.dashboard.charts.figure import Figure, axis, in_points, objective_label
from service.dashboard.queries.history import History
from service.schemas import Measurement, Score, Study, StudyChange, StudySpec


@dataclass(frozen=True, slots=True)
class _Along:
    """What runs stand along on the chart of progress.

    Attributes:
        place: of each run by number.
        edges: where the axis begins and ends.
        last: where the best mixture so far ends.
        hover: what is said of a run that is pointed at.
        details: what `hover` needs of runs, from their margins and numbers.
        gap: from a run to what happened behind it.
        ticks: of the axis, as Plotly has them.
    """

    title: str
    place: Mapping[int, float]
    edges: tuple[float, float]
    last: float
    hover: str
    details: Callable[[list[float], list[int]], list[Any]]
    ticks: Mapping[str, Any]
    gap: float = 0.0


def _by_number(numbers: Sequence[int]) -> _Along:
    last = max(numbers[-1], 2)
    return _Along(
        title="trial number",
        place={number: number for number in numbers},
        edges=(0.5, last + 0.5),
        last=last,
        hover="trial %{x}: %{y:.1f} ± %{customdata:.1f}<extra></extra>",
        details=lambda margins, _: margins,
        ticks={"tickformat": "d"} | ({"dtick": 1} if last < 10 else {}),
        gap=0.5,
    )


def _by_cost(numbers: Sequence[int], gpu_hours: Mapping[int, float]) -> _Along:
    """A run stands at what all trials up to it have cost."""
    known = sorted(gpu_hours.keys() | set(numbers))
    used = itertools.accumulate(gpu_hours.get(number, 0.0) for number in known)
    place = dict(zip(known, (float(f"{hours:.6g}") for hours in used), strict=True))
    last = place[numbers[-1]]
    return _Along(
        title="GPU-hours used",
        place=place,
        edges=(0.0, 1.02 * last),
        last=last,
        hover="trial %{customdata[1]}, %{x:.3g} GPU-hours: "
        "%{y:.1f} ± %{customdata[0]:.1f}<extra></extra>",
        details=lambda margins, numbers: list(zip(margins, numbers, strict=True)),
        ticks={},
    )


def progress(
    study: Study,
    history: History,
    gpu_hours: Mapping[int, float] | None = None,
    changes: Sequence[StudyChange] = (),
) -> Figure:
    """Every completed trial's objective with its 95% interval, and the best mixture so far.

    Args:
        gpu_hours: of each trial by number, where runs stand along these; else along their numbers.
        changes: of the study, marked where they were made.

    The intervals are one broken line, not error bars: one element of the page instead of three a
    trial, which is what lets 10,000 trials be drawn.
    """
    numbers = [run.number for run in history.runs]
    along = _by_number(numbers) if gpu_hours is None else _by_cost(numbers, gpu_hours)
    at = [along.place[number] for number in numbers]
    values = [in_points(run.score.value) for run in history.runs]
    margins = [in_points(words.Z95 * run.score.se) for run in history.runs]
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
            "customdata": along.details(margins, numbers),
            "marker": {
                "color": "@muted",
                "size": 7 if len(numbers) <= 300 else 4,
                "line": {"color": "@panel", "width": 1 if len(numbers) <= 300 else 0},
            },
            "hovertemplate": along.hover,
        },
    ]  # fmt: skip
    uniform = None if history.uniform is None else history.uniform.score
    for name, score, dash in (
        ("uniform mixture", uniform, "dash"),
        ("base model, untrained", study.baseline_scores.objective, "dot"),
    ):
        if score is not None:
            data += _reference(name, score, dash, along.edges)
    if history.leads:
        data += _lead(history, along)
    layout: dict[str, Any] = {
        "xaxis": axis(along.title, range=list(along.edges), zeroline=False, **along.ticks),
        "yaxis": axis(f"{objective_label(study)}, points of 100", zeroline=False),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 60, "r": 16, "t": 56, "b": 52},
    }
    return {"data": data, "layout": layout | _marks(changes, along)}


def _lead(history: History, along: _Along) -> list[dict[str, Any]]:
    """The best mixture so far, with its interval."""
    leads: list[float] = [along.place[run.number] for run in history.leads]
    leads.append(along.last)
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
    return [
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


MOST_NAMED = 8
"""Places of changes that are named on the chart; of more the names would cover each other."""


def _marks(changes: Sequence[StudyChange], along: _Along) -> dict[str, Any]:
    """A line behind the last run before each change, with what was changed."""
    found: dict[float, list[str]] = {}
    for change in changes:
        behind = [number for number in along.place if number <= change.after_trial]
        place = along.place[max(behind)] if behind else along.edges[0]
        named = found.setdefault(place + along.gap if behind else place, [])
        named += [what for path in change.changes if (what := _subject(path)) not in named]
    shapes = [
        {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1,
         "line": {"color": "@muted", "width": 1, "dash": "dot"}}
        for x in found
    ]  # fmt: skip
    annotations = [
        {"x": x, "yref": "paper", "y": 0, "yanchor": "bottom",
         "xanchor": "left" if 2 * x < sum(along.edges) else "right",
         "showarrow": False, "text": named[0] + (f" +{len(named) - 1}" if named[1:] else ""),
         "hovertext": ", ".join(named), "font": {"color": "@soft"}}
        for x, named in found.items()
    ]  # fmt: skip
    if not found:
        return {}
    return {"shapes": shapes, "annotations": annotations if len(found) <= MOST_NAMED else []}


def _subject(path: str) -> str:
    """What a changed path is about: a domain by its name, anything else by its field."""
    parts = path.split(".")
    is_domain = parts[0] == "domains" and len(parts) > 1
    return parts[1] if is_domain else parts[0].replace("_", " ")


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
