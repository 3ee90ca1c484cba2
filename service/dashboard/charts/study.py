"""The chart of one run's scores over its steps (`figure.py` says how charts are made)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.dashboard import words
from service.dashboard.charts.figure import (
    LEGEND_LETTERS,
    Figure,
    axis,
    in_points,
    objective_title,
    whole_names,
)
from service.schemas import Measurement, Score, StudySpec

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
    shown = words.short_names([benchmark.name for benchmark in study.benchmarks], LEGEND_LETTERS)
    for place, benchmark in enumerate(study.benchmarks):
        found = [(s, m) for s in steps for m in by_step[s] if m.benchmark == benchmark.name]
        if found:
            scores = [Score(value=m.score, se=m.sampling_error()) for _, m in found]
            symbol = SYMBOLS[place % len(SYMBOLS)]
            at = [step for step, _ in found]
            data.append(_curve(shown[benchmark.name], at, scores, "@muted", symbol, 1))
    whole = [(step, study.scores(by_step[step]).objective) for step in steps]
    known = [(step, score) for step, score in whole if score is not None]
    if known:
        name, at = objective_title(study), [step for step, _ in known]
        data.append(_curve(name, at, [score for _, score in known], "@ink", "circle", 2.5))
    layout = {
        "xaxis": axis("training step", zeroline=False),
        "yaxis": axis("score, points of 100", zeroline=False),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 56, "r": 12, "t": 48, "b": 52},
        "meta": whole_names(shown),
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
