"""Charts of many mixtures at once: three domains in a triangle, or all side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.dashboard import words
from service.dashboard.collection import Item
from service.dashboard.figures import Figure, axis, in_points, objective_label
from service.schemas import Score, StudySpec

DRAWN = 600
"""Mixtures of a chart at most; more would hide each other."""

SHADES = tuple(f"@s{place}" for place in range(8))
"""From low to high, of viridis: told apart with every kind of colour blindness, also in grey. The
part of it that shows on a light page is another than on a dark one."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A mixture that was scored."""

    number: int
    mixture: dict[str, float]
    score: Score

    @property
    def said(self) -> str:
        return f"trial {self.number}: {words.points(self.score.value)} ± " + words.margin(
            self.score.se
        )


def dots(items: Sequence[Item]) -> list[Dot]:
    """The scored ones, at most `DRAWN` of them, evenly spread; those drawn last are best seen."""
    scored = [Dot(i.number, i.mixture, i.score) for i in items if i.score is not None]
    step = max(1, -(-len(scored) // DRAWN))
    return scored[::step]


def scale(study: StudySpec) -> list[list[Any]]:
    """Colours from the lowest score to the highest, whose end is always the better one."""
    colours = SHADES if study.objective.direction == "maximize" else SHADES[::-1]
    return [[place / (len(colours) - 1), colour] for place, colour in enumerate(colours)]


def colour_bar(title: str) -> dict[str, Any]:
    """Below the chart, so that a narrow screen has room for both."""
    return {
        "title": {"text": title, "side": "bottom", "font": {"color": "@soft"}},
        "tickfont": {"color": "@soft"}, "thickness": 10, "len": 0.8, "outlinewidth": 0,
        "orientation": "h", "x": 0.5, "y": -0.14, "yanchor": "top", "nticks": 6,
    }  # fmt: skip


def triangle(corners: Sequence[str]) -> dict[str, Any]:
    """Layout of a triangle with a domain at each corner."""
    sides = {
        side: {
            "title": {"text": corner, "font": {"color": "@ink"}},
            "gridcolor": "@grid", "linecolor": "@faint", "tickfont": {"color": "@soft"},
            "ticksuffix": "%", "nticks": 5, "min": 0,
        }
        for side, corner in zip(("aaxis", "baxis", "caxis"), corners, strict=True)
    }  # fmt: skip
    return {
        "ternary": {"sum": 100, "bgcolor": "rgba(0,0,0,0)", **sides},
        "margin": {"l": 56, "r": 56, "t": 36, "b": 88},
    }


def ternary(study: StudySpec, drawn: Sequence[Dot], corners: Sequence[str]) -> Figure:
    """Where mixtures lie between three domains, coloured by score.

    The place is each domain's share of the three; the size is what the three have together.
    """
    inside = [
        (dot, total) for dot in drawn if (total := sum(dot.mixture[c] for c in corners)) > 1e-6
    ]
    shares = [[100 * dot.mixture[c] / total for c in corners] for dot, total in inside]
    rows = list(zip(*shares, strict=True)) if shares else [(), (), ()]
    data = [
        {
            "type": "scatterternary", "mode": "markers", "showlegend": False,
            **{side: [round(x, 2) for x in row] for side, row in zip("abc", rows, strict=True)},
            "ids": [str(dot.number) for dot, _ in inside],
            "text": [f"{dot.said}, {words.share(total)} in these three" for dot, total in inside],
            "hovertemplate": "%{text}<extra></extra>",
            "cliponaxis": False,
            "marker": {
                "color": [in_points(dot.score.value) for dot, _ in inside],
                "size": [round(6 + 9 * total, 1) for _, total in inside],
                "colorscale": scale(study),
                "line": {"color": "@muted", "width": 0.7},
                "colorbar": colour_bar(f"{objective_label(study)}, points"),
            },
        }
    ]  # fmt: skip
    return {"data": data, "layout": triangle(corners)}


def parallel(study: StudySpec, drawn: Sequence[Dot]) -> Figure:
    """Every mixture as a line over all domains, coloured by score in bands.

    One trace a band, its lines apart by gaps: a trace a mixture would take a browser seconds.
    """
    domains = [domain.name for domain in study.domains]
    values = [dot.score.value for dot in drawn]
    low, high = min(values), max(values)
    colours = [colour for _, colour in scale(study)]
    width = (high - low) / len(colours) or 1.0
    bands: list[list[Dot]] = [[] for _ in colours]
    for dot in drawn:
        bands[min(int((dot.score.value - low) / width), len(colours) - 1)].append(dot)
    worst_first = range(len(colours))
    if study.objective.direction == "minimize":
        worst_first = worst_first[::-1]
    data = [_lines(domains, bands[k], colours[k]) for k in worst_first if bands[k]]
    data.append(_colours_only(study, low, high))
    layout = {
        "xaxis": {"type": "category", "showgrid": True, "ticks": ""},
        "yaxis": axis("weight, %", zeroline=False, rangemode="tozero"),
        "margin": {"l": 56, "r": 16, "t": 16, "b": 140 if len(domains) > 8 else 110},
    }
    return {"data": data, "layout": layout}


def _colours_only(study: StudySpec, low: float, high: float) -> dict[str, Any]:
    """What the lines' colours mean; lines cannot say it themselves."""
    bar = colour_bar(f"{objective_label(study)}, points")
    if len(study.domains) > 8:
        bar["y"] = -0.34  # their names stand upright
    return {
        "type": "scatter", "mode": "markers", "x": [None], "y": [None], "hoverinfo": "skip",
        "showlegend": False,
        "marker": {
            "color": [in_points(low)], "colorscale": scale(study), "showscale": True,
            "cmin": in_points(low), "cmax": in_points(high) if high > low else in_points(low) + 1,
            "colorbar": bar,
        },
    }  # fmt: skip


def _lines(domains: Sequence[str], part: Sequence[Dot], colour: str) -> dict[str, Any]:
    gap = [None]
    weights = [[round(100 * dot.mixture[d], 2) for d in domains] for dot in part]
    return {
        "type": "scatter", "mode": "lines+markers", "showlegend": False,
        "x": [x for _ in part for x in (*domains, None)],
        "y": [y for row in weights for y in [*row, *gap]],
        "ids": [i for dot in part for i in [*[str(dot.number)] * len(domains), *gap]],
        "text": [t for dot in part for t in [*[dot.said] * len(domains), *gap]],
        "hovertemplate": "%{text}<br>%{x} %{y:.1f}%<extra></extra>",
        "line": {"color": colour, "width": 1.6}, "marker": {"color": colour, "size": 5},
        "opacity": 0.85,
    }  # fmt: skip
