"""The best mixture so far as a line of steps in the band of its 95% interval."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from service.dashboard import words
from service.dashboard.charts.figure import in_points
from service.study.headline import Lead


def hours_up_to(numbers: Sequence[int], gpu_hours: Mapping[int, float]) -> dict[int, float]:
    """What all trials up to each have cost, by number: of these, and of all that have a cost."""
    known = sorted(gpu_hours.keys() | set(numbers))
    used = itertools.accumulate(gpu_hours.get(number, 0.0) for number in known)
    return dict(zip(known, (float(f"{hours:.6g}") for hours in used), strict=True))


def steps(
    name: str, leads: Sequence[Lead], x: Sequence[Any], line: Mapping[str, Any], band: str
) -> list[dict[str, Any]]:
    """Traces of the line and its band; the line is the last.

    Args:
        x: where each lead begins, and where the last one ends.
        line: its colour and dash.
        band: the band's colour.
    """
    scores = [lead.score for lead in leads]
    scores.append(scores[-1])
    best = [in_points(score.value) for score in scores]
    spreads = [in_points(words.Z95 * score.se) for score in scores]
    edge: dict[str, Any] = {
        "type": "scatter", "mode": "lines", "x": list(x), "legendgroup": name,
        "line": {"width": 0, "shape": "hv"}, "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip
    low, high = (
        [round(value + side * spread, 3) for value, spread in zip(best, spreads, strict=True)]
        for side in (-1, 1)
    )
    return [
        edge | {"y": low},
        edge | {"y": high, "fill": "tonexty", "fillcolor": band},
        edge
        | {
            "name": name, "y": best, "customdata": spreads, "showlegend": True,
            "line": {"width": 2.5, "shape": "hv", **line}, "hoverinfo": "all",
            "hovertemplate": f"{name}: %{{y:.1f}} ± %{{customdata:.1f}}<extra></extra>",
        },
    ]  # fmt: skip
