"""Charts over training steps: what one run said of itself, and how runs came to their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from service.dashboard import colours, words
from service.dashboard.charts.figure import (
    LEGEND_LETTERS,
    TITLE_LETTERS,
    Figure,
    axis,
    in_points,
    whole_names,
)
from service.dashboard.charts.mixtures import SHADES
from service.dashboard.colours import DASHES
from service.schemas import Curve, Score, StudySpec
from service.study import cost

POINTS = 300
"""Steps of a training curve that are drawn at most."""

SMOOTHED_FROM = 40
"""Steps from which on a moving mean is drawn over the single ones."""

OTHERS = 8
"""Charts at most of metrics that no other chart has."""

RUNS = 50
"""Runs of a chart of scores over steps: the best ones."""

STEP = "training step"


@dataclass(frozen=True, slots=True)
class Line:
    """A metric of a chart with its look."""

    metric: str
    name: str
    colour: str
    dash: str = "solid"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of a run's metrics: its title, its y axis, and how to read it."""

    title: str
    unit: str
    about: str
    figure: Figure


LINES = ("@ink", "@d4", "@d5", "@d2", "@d6", "@d0", "@d1", "@d7")
"""Colours of lines that are no domain's."""


def training(study: StudySpec, curve: Curve) -> list[Chart]:
    """What a run said of itself, one chart for each kind of metric it reported."""
    charts: list[Chart] = []
    shown: set[str] = set()

    def add(title: str, unit: str, about: str, lines: Sequence[Line], scale: float = 1.0) -> None:
        there = [line for line in lines if _is_there(curve, line.metric)]
        shown.update(line.metric for line in lines)
        if there:
            charts.append(Chart(title, unit, about, _drawn(curve, there, unit, scale)))

    looks = colours.looks([domain.name for domain in study.domains])
    domains = [
        Line(f"reward/{name}", name, f"@d{look.colour}", look.dash) for name, look in looks.items()
    ]
    add("Reward", "mean reward", "Of all completions of a step, and of each domain's.",
        [*domains, Line("reward", "all", "@ink")])  # fmt: skip
    add("Weights of the draw", "% of the samples", "What each step's samples were drawn by.",
        [replace(line, metric=f"weight/{line.name}") for line in domains], scale=100.0)  # fmt: skip
    rules = [name for name in curve.names if name.startswith("rule/")]
    add("Reward by rule", "mean reward", "Unweighted, over the completions that a rule judged.",
        [Line(name, plain(name[5:]), LINES[i % len(LINES)], DASHES[i // len(LINES) % len(DASHES)])
         for i, name in enumerate(rules)])  # fmt: skip
    add("KL to the base model", "nats per token", "", [Line("kl", "KL", "@ink")])
    add("Length", "tokens", "Of a step's completions.",
        [Line("completions/mean_length", "mean", "@ink"),
         Line("completions/max_length", "longest", "@d4", "dot")])  # fmt: skip
    add("Clipped", "% of completions", "Cut off at the limit of length.",
        [Line("completions/clipped_ratio", "clipped", "@ink")], scale=100.0)  # fmt: skip
    # Samples drawn so far grow by the mixture, and say nothing of the training.
    rest = [name for name in curve.names if name not in shown and not name.startswith(cost.DRAWN)]
    for name in rest[:OTHERS]:
        title = TITLES.get(name, plain(name))
        add(title, UNITS.get(name, title), "", [Line(name, title, "@ink")])
    return charts


TITLES = {
    "loss": "Loss",
    "entropy": "Entropy",
    "grad_norm": "Norm of the gradient",
    "learning_rate": "Learning rate",
    "reward_std": "Spread of rewards within a prompt",
    "step_s": "Time of a step",
}
UNITS = {"entropy": "nats", "step_s": "seconds", "reward_std": "standard deviation"}


def plain(name: str) -> str:
    """A name from outside without what Plotly reads as HTML, or as a place for a value."""
    return name.translate({ord("<"): "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
                           ord(">"): "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
                           ord("{"): "(", ord("}"): ")"})  # fmt: skip


def _is_there(curve: Curve, metric: str) -> bool:
    return any(value is not None for value in curve.metrics.get(metric, ()))


def _drawn(curve: Curve, lines: Sequence[Line], unit: str, scale: float) -> Figure:
    data: list[dict[str, Any]] = []
    short = words.short_names([line.name for line in lines], LEGEND_LETTERS)
    for line in lines:
        name = short[line.name]
        known = [
            (step, scale * value)
            for step, value in zip(curve.steps, curve.metrics[line.metric], strict=True)
            if value is not None
        ]
        steps, values = [step for step, _ in known], [float(f"{v:.5g}") for _, v in known]
        style = {"color": line.colour, "width": 2.2, "dash": line.dash}
        base = {"type": "scatter", "mode": "lines", "legendgroup": name}
        said = f"{name} at step %{{x}}: %{{y:.4g}}<extra></extra>"
        if len(known) < SMOOTHED_FROM:
            marks = {"mode": "lines+markers", "marker": {"size": 4, "color": line.colour}}
            few = marks if len(known) <= 20 else {}
            data.append(
                base | few
                | {"name": name, "x": steps, "y": values, "line": style, "hovertemplate": said}
            )  # fmt: skip
            continue
        if len(lines) <= 2:
            data.append(
                base | {"name": f"{name}, single steps", "x": steps, "y": values,
                        "line": style | {"width": 1, "dash": "solid"}, "opacity": 0.3,
                        "showlegend": False, "hovertemplate": said}
            )  # fmt: skip
        width = window(len(values))
        data.append(
            base | {"name": name, "x": steps, "y": smoothed(values, width), "line": style,
                    "hovertemplate": f"{name} about step %{{x}}: %{{y:.4g}} "
                    f"(mean of {width} points)<extra></extra>"}
        )  # fmt: skip
    layout = {
        "xaxis": axis(STEP, zeroline=False, tickformat="d"),
        "yaxis": axis(unit, zeroline=False, rangemode="normal" if _varies(data) else "tozero"),
        "showlegend": len(lines) > 1,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 56, "r": 12, "t": 44 if len(lines) > 1 else 12, "b": 44},
        "meta": whole_names(short),
        **_restarts(curve),
    }
    return {"data": data, "layout": layout}


def _varies(data: Sequence[dict[str, Any]]) -> bool:
    return len({value for trace in data for value in trace["y"]}) > 1


def window(n: int) -> int:
    """Width of the moving mean over n points: about a fifteenth of them, odd."""
    return max(3, n // 15) | 1


def smoothed(values: Sequence[float], width: int) -> list[float]:
    """Moving mean; at the ends, of as many as there are."""
    sums = np.cumsum([0.0, *values])
    half, n = width // 2, len(values)
    low = np.maximum(np.arange(n) - half, 0)
    high = np.minimum(np.arange(n) + half + 1, n)
    return [float(f"{v:.5g}") for v in (sums[high] - sums[low]) / (high - low)]


def _restarts(curve: Curve) -> dict[str, Any]:
    """Where another attempt went on."""
    places = [
        (step, attempt)
        for (_, before), (step, attempt) in pairwise(zip(curve.steps, curve.attempts, strict=True))
        if attempt != before
    ]
    return {
        "shapes": [
            {"type": "line", "x0": step, "x1": step, "yref": "paper", "y0": 0, "y1": 1,
             "line": {"color": "@muted", "width": 1, "dash": "dot"}}
            for step, _ in places
        ],
        "annotations": [
            {"x": step, "yref": "paper", "y": 1, "xanchor": "left", "yanchor": "top",
             "showarrow": False, "text": f"attempt {attempt}", "font": {"color": "@soft"}}
            for step, attempt in places
        ],
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Path:
    """A run's score at the steps where it was scored."""

    number: int
    steps: Sequence[int]
    scores: Sequence[Score]


def over_steps(paths: Sequence[Path], title: str, *, base: Score | None) -> Figure | None:
    """How runs came to a score, the best run drawn last and strongest.

    Args:
        paths: best first.
        base: the untrained model's, at step 0.

    Returns:
        None where no run was scored at more than one step.
    """
    moved = [path for path in paths if len(path.steps) > 1][:RUNS]
    if not moved:
        return None
    data = []
    for rank, path in list(enumerate(moved))[::-1]:
        is_best = rank == 0
        steps, scores = list(path.steps), list(path.scores)
        if base is not None and steps[0] > 0:
            steps, scores = [0, *steps], [base, *scores]
        margins = [in_points(words.Z95 * score.se) for score in scores]
        shade = SHADES[-1 - round(rank * (len(SHADES) - 1) / max(1, len(moved) - 1))]
        colour = "@ink" if is_best else shade
        name = f"trial {path.number}" + (", best" if is_best else "")
        bars = {"type": "data", "array": margins, "color": colour, "thickness": 1.5, "width": 0}
        data.append(
            {
                "type": "scatter", "mode": "lines+markers", "name": name, "x": steps,
                "y": [in_points(score.value) for score in scores], "customdata": margins,
                "ids": [f"{path.number}/{step}" for step in steps], "showlegend": is_best,
                **({"error_y": bars} if is_best else {}),
                "line": {"color": colour, "width": 3 if is_best else 1.5},
                "marker": {"color": colour, "size": 7 if is_best else 4},
                "hovertemplate": f"trial {path.number} at step %{{x}}: %{{y:.1f}} "
                "± %{customdata:.1f}<extra></extra>",
            }
        )  # fmt: skip
    layout = {
        "xaxis": axis(STEP, zeroline=False, tickformat="d", rangemode="tozero"),
        "yaxis": axis(f"{words.elided(title, TITLE_LETTERS)}, points of 100", zeroline=False),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 60, "r": 16, "t": 44, "b": 52},
    }
    return {"data": data, "layout": layout}


def path(number: int, by_step: Mapping[int, Score | None]) -> Path:
    """The steps at which the score is known, in order."""
    known = {step: score for step, score in sorted(by_step.items()) if score is not None}
    return Path(number, list(known), list(known.values()))
