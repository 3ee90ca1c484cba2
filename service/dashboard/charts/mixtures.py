"""Charts of many mixtures at once: three domains in a triangle, or all side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.dashboard import colours, words
from service.dashboard.charts.embedding import Plane
from service.dashboard.charts.figure import (
    Figure,
    axis,
    in_points,
    name_axis,
    objective_title,
    whole_names,
)
from service.dashboard.queries.mixtures import Item
from service.schemas import Score, StudySpec
from service.search.situation import sign_of
from service.search.space import FloatArray

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


def dots(study: StudySpec, items: Sequence[Item]) -> list[Dot]:
    """The scored ones by number, evenly spread to about `DRAWN` of them, and always the best."""
    scored = [Dot(i.number, i.mixture, i.score) for i in items if i.score is not None]
    scored.sort(key=lambda dot: dot.number)
    step = max(1, -(-len(scored) // DRAWN))
    kept = scored[::step]
    if scored and (top := best(study, scored)) not in kept:
        kept.append(top)
    return kept


def best(study: StudySpec, drawn: Sequence[Dot]) -> Dot:
    """The one with the best score; of equal ones, the first."""
    sign = sign_of(study.objective.direction)
    return max(drawn, key=lambda dot: sign * dot.score.value)


def scale(study: StudySpec) -> list[list[Any]]:
    """Colours from the lowest score to the highest, whose end is always the better one."""
    shades = SHADES if sign_of(study.objective.direction) > 0 else SHADES[::-1]
    return [[place / (len(shades) - 1), shade] for place, shade in enumerate(shades)]


def colour_bar(title: str) -> dict[str, Any]:
    """Below the chart, so that a narrow screen has room for both."""
    return {
        "title": {"text": title, "side": "bottom", "font": {"color": "@soft"}},
        "tickfont": {"color": "@soft"}, "thickness": 10, "len": 0.8, "outlinewidth": 0,
        "orientation": "h", "x": 0.5, "y": -0.14, "yanchor": "top", "nticks": 6,
    }  # fmt: skip


POINTED_LETTERS = 32
"""Of a domain's name in what is said of a mark that is pointed at: a phone has room for them."""

CORNER_LETTERS = 12
"""Of a domain's name at a corner of a triangle or of the map: half of them lie beyond it."""


def triangle(corners: Sequence[str]) -> dict[str, Any]:
    """Layout of a triangle with a domain at each corner."""
    shown = words.short_names(corners, CORNER_LETTERS)
    sides = {
        side: {
            "title": {"text": shown[corner], "font": {"color": "@ink", "size": 12}},
            "gridcolor": "@grid", "linecolor": "@faint", "tickfont": {"color": "@soft"},
            "ticksuffix": "%", "nticks": 5, "min": 0,
        }
        for side, corner in zip(("aaxis", "baxis", "caxis"), corners, strict=True)
    }  # fmt: skip
    return {
        "ternary": {"sum": 100, "bgcolor": "rgba(0,0,0,0)", **sides},
        "margin": {"l": 68, "r": 68, "t": 36, "b": 88},
        "meta": whole_names(shown),
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
                "size": [round(6 + 9 * total, 1) for _, total in inside], "opacity": 1,
                "colorscale": scale(study),
                "line": {"color": "@muted", "width": 0.7},
                "colorbar": colour_bar(f"{objective_title(study)}, points"),
            },
        }
    ]  # fmt: skip
    return {"data": data, "layout": triangle(corners)}


MAPPED_FROM = 4
"""Domains from which on there is a map: of three, the triangle shows all."""

NAMED = 8
"""Domains named on a map: those that reach furthest from its middle."""


def distance_map(study: StudySpec, drawn: Sequence[Dot]) -> Figure | None:
    """Mixtures on a plane where those that are alike lie near each other, coloured by score.

    With them lie each domain alone and the uniform mixture, and the best of them is marked.

    Returns:
        None with too few domains or different mixtures.
    """
    names = [domain.name for domain in study.domains]
    if len(names) < MAPPED_FROM or not drawn:
        return None
    X = np.array([[dot.mixture[name] for name in names] for dot in drawn])
    plane = Plane.of(X)
    if plane is None:
        return None
    at, top = plane.place(X), best(study, drawn)
    corners = plane.place(np.eye(len(names)))
    uniform = plane.place(np.full((1, len(names)), 1 / len(names)))
    shown = words.short_names(names, CORNER_LETTERS)
    data = [
        {
            "type": "scatter", "mode": "markers", "name": "run", "showlegend": False,
            "x": _rounded(at[:, 0]), "y": _rounded(at[:, 1]),
            "ids": [str(dot.number) for dot in drawn],
            "text": [f"{dot.said}<br>{heaviest(dot.mixture, 5)}" for dot in drawn],
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {
                "color": [in_points(dot.score.value) for dot in drawn],
                "size": 11 if len(drawn) <= 100 else 8, "colorscale": scale(study),
                "line": {"color": "@panel", "width": 1},
                "colorbar": colour_bar(f"{objective_title(study)}, points"),
            },
        },
        _corners(shown, corners, uniform[0]),
        _ring("uniform mixture", uniform[0], "diamond-open", 15),
        _ring(f"best of these, trial {top.number}", at[drawn.index(top)], "circle-open", 19),
    ]  # fmt: skip
    hidden = {"visible": False}
    layout = {
        # Only distances mean something here: no axes, and one scale for both.
        "xaxis": hidden, "yaxis": hidden | {"scaleanchor": "x", "scaleratio": 1},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 48, "r": 48, "t": 40, "b": 88},
        "meta": {"explained": round(plane.explained, 4), "stress": round(plane.stress, 4)}
        | whole_names(shown),
    }  # fmt: skip
    return {"data": data, "layout": layout}


def _corners(shown: Mapping[str, str], at: FloatArray, middle: FloatArray) -> dict[str, Any]:
    """Each domain alone, in its colour; those that reach furthest from the middle are named."""
    furthest = np.argsort(-np.linalg.norm(at - middle, axis=1))[:NAMED]
    looks = [colours.look(place) for place in range(len(shown))]
    return {
        "type": "scatter", "mode": "markers+text", "name": "one domain alone",
        "showlegend": False, "cliponaxis": False, "x": _rounded(at[:, 0]), "y": _rounded(at[:, 1]),
        "text": [name if i in furthest else "" for i, name in enumerate(shown.values())],
        "textposition": ["top center" if y >= middle[1] else "bottom center" for y in at[:, 1]],
        "textfont": {"color": "@ink"},
        "hovertext": [f"{name} alone" for name in shown],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {
            "symbol": [look.symbol for look in looks], "size": 12,
            "color": [f"@d{look.colour}" for look in looks], "line": {"color": "@ink", "width": 1},
        },
    }  # fmt: skip


def map_aid(figure: Figure) -> str:
    """What the map shows, and how much of it."""
    shown = figure["layout"]["meta"]
    return (
        "Runs with like mixtures lie near each other (Hellinger distance, classical scaling); "
        "squares and other corner marks are domains alone. The plane shows "
        f"{100 * shown['explained']:.0f}% of the squared distances (stress {shown['stress']:.2f}; "
        "0 is exact): what lies apart here is apart, what lies together need not be."
    )


def _ring(name: str, where: FloatArray, symbol: str, size: int) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": name,
        "x": _rounded(where[:1]), "y": _rounded(where[1:]),
        "hoverinfo": "skip",
        "marker": {"symbol": symbol, "size": size, "color": "@ink", "line": {"width": 2.5}},
    }  # fmt: skip


def _rounded(values: FloatArray) -> list[float]:
    return [round(float(value), 4) for value in values]


def heaviest(mixture: Mapping[str, float], most: int) -> str:
    """What weighs most in a mixture, a line each, to be said of a mark that is pointed at."""
    return "<br>".join(
        f"{words.elided(name, POINTED_LETTERS)} {words.share(weight)}"
        for name, weight in by_weight(mixture, most)
    )


def by_weight(mixture: Mapping[str, float], most: int) -> list[tuple[str, float]]:
    """The heaviest domains of a mixture with their weights, none without."""
    ranked = sorted(mixture.items(), key=lambda item: -item[1])[:most]
    return [(name, weight) for name, weight in ranked if weight > 0]


AXIS_LETTERS = 16
"""Of a domain's name below the lines: upright they take as much room as the legend."""


def parallel(study: StudySpec, drawn: Sequence[Dot]) -> Figure:
    """Every mixture as a line over all domains, coloured by score in bands.

    One trace a band, its lines apart by gaps: a trace a mixture would take a browser seconds.
    """
    domains = [domain.name for domain in study.domains]
    values = [dot.score.value for dot in drawn]
    low, high = min(values), max(values)
    shades = [shade for _, shade in scale(study)]
    width = (high - low) / len(shades) or 1.0
    bands: list[list[Dot]] = [[] for _ in shades]
    for dot in drawn:
        bands[min(int((dot.score.value - low) / width), len(shades) - 1)].append(dot)
    worst_first = range(len(shades))
    if sign_of(study.objective.direction) < 0:
        worst_first = worst_first[::-1]
    data = [_lines(domains, bands[k], shades[k]) for k in worst_first if bands[k]]
    data.append(_colours_only(study, low, high))
    shown = words.short_names(domains, AXIS_LETTERS)
    layout = {
        "xaxis": name_axis(shown, showgrid=True, ticks=""),
        "yaxis": axis("weight, %", zeroline=False, rangemode="tozero"),
        "margin": {"l": 56, "r": 16, "t": 16, "b": 140 if _is_upright(domains) else 110},
        "meta": whole_names(shown),
    }
    if _is_upright(domains):
        layout["xaxis"]["tickangle"] = -90
    return {"data": data, "layout": layout}


def _is_upright(domains: Sequence[str]) -> bool:
    """Whether names along an axis have no room side by side."""
    return len(domains) > 8 or max(map(len, domains)) > AXIS_LETTERS


def _colours_only(study: StudySpec, low: float, high: float) -> dict[str, Any]:
    """What the lines' colours mean; lines cannot say it themselves."""
    bar = colour_bar(f"{objective_title(study)}, points")
    if _is_upright([domain.name for domain in study.domains]):
        bar["y"] = -0.34
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
        "ids": [f"{dot.number}/{k}" for dot in part for k in range(len(domains) + 1)],
        "text": [t for dot in part for t in [*[dot.said] * len(domains), *gap]],
        "hovertemplate": "%{text}<br>%{x} %{y:.1f}%<extra></extra>",
        "line": {"color": colour, "width": 1.6}, "marker": {"color": colour, "size": 5},
        "opacity": 0.85,
    }  # fmt: skip
