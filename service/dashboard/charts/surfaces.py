"""Charts of one surrogate: slices through the mixture to train, a triangle's surface, residuals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from service.dashboard import colours, words
from service.dashboard.charts.figure import (
    LEGEND_LETTERS,
    Figure,
    axis,
    in_points,
    objective_title,
    whole_names,
)
from service.dashboard.charts.fits import drawn, is_inside
from service.dashboard.charts.mixtures import POINTED_LETTERS, SHADES, colour_bar, scale, triangle
from service.dashboard.charts.slices import STEPS, Slice
from service.dashboard.colours import Look
from service.schemas import FitPoint, StudySpec
from service.search.space import FloatArray

SHOWN_SLICES = 6
"""Curves drawn at first, those of its heaviest domains; the legend has the others."""

LEGEND_PX = 100
"""Height of their legend at most: what is beyond is scrolled to, and the curves have the rest."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """Mean and standard deviation (k,) of the noise-free objective at some mixtures."""

    mean: FloatArray
    sd: FloatArray


def slice_curves(
    study: StudySpec, best: FloatArray, cut: Sequence[tuple[Slice, Predicted]]
) -> Figure:
    """Predicted objective over the weight of each domain, with 95% bands.

    Args:
        best: (m,) the mixture the slices go through; marked on each curve.
    """
    heaviest = sorted(range(len(study.domains)), key=lambda d: -best[d])[:SHOWN_SLICES]
    names = [domain.name for domain in study.domains]
    short = words.short_names(names, LEGEND_LETTERS)
    data: list[dict[str, Any]] = []
    for part, found in cut:
        if not part.steps:
            continue
        name = short[names[part.domain]]
        shown = True if part.domain in heaviest else "legendonly"
        data += _curve(name, colours.look(part.domain), part, found, best, shown)
    layout = {
        "xaxis": axis("weight of the domain, %", zeroline=False, range=[-2, 102], dtick=20),
        "yaxis": axis(f"predicted {objective_title(study)}, points", zeroline=False),
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "maxheight": LEGEND_PX,
        },
        "margin": {"l": 56, "r": 12, "t": 56, "b": 52},
        "meta": whole_names(short),
    }
    return {"data": data, "layout": layout}


def _curve(
    name: str, look: Look, part: Slice, found: Predicted, best: FloatArray, shown: bool | str
) -> list[dict[str, Any]]:
    colour = f"@d{look.colour}"
    weights = [round(100 * float(w), 2) for w in part.mixtures[:, part.domain]]
    means = [in_points(float(value)) for value in found.mean]
    margins = [in_points(words.Z95 * float(value)) for value in found.sd]
    band_x: list[float | None] = []
    band_y: list[float | None] = []
    x: list[float | None] = []
    y: list[float | None] = []
    said: list[float | None] = []
    for piece in _pieces(part.steps):
        there = list(piece)
        upper = [means[i] + margins[i] for i in there]
        lower = [means[i] - margins[i] for i in reversed(there)]
        band_x += [*(weights[i] for i in there), *(weights[i] for i in reversed(there)), None]
        band_y += [*(round(v, 3) for v in [*upper, *lower]), None]
        x += [*(weights[i] for i in there), None]
        y += [*(means[i] for i in there), None]
        said += [*(margins[i] for i in there), None]
    own = min(range(len(weights)), key=lambda i: abs(weights[i] - 100 * float(best[part.domain])))
    group = {"legendgroup": name, "visible": shown}
    return [
        group | {
            "type": "scatter", "mode": "lines", "x": band_x, "y": band_y, "fill": "toself",
            "fillcolor": colour, "opacity": 0.13, "line": {"width": 0}, "hoverinfo": "skip",
            "showlegend": False,
        },
        group | {
            "type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "customdata": said,
            "line": {"color": colour, "width": 2.5, "dash": look.dash},
            "hovertemplate": f"{name} %{{x:.1f}}%: %{{y:.1f}} ± %{{customdata:.1f}}<extra></extra>",
        },
        group | {
            "type": "scatter", "mode": "markers", "x": [weights[own]], "y": [means[own]],
            "marker": {"color": colour, "size": 9, "line": {"color": "@ink", "width": 1.5}},
            "hovertemplate": f"mixture to train: {name} %{{x:.1f}}%<extra></extra>",
            "showlegend": False,
        },
    ]  # fmt: skip


def _pieces(steps: Sequence[int]) -> list[range]:
    """Places of steps that follow each other."""
    cuts = [i + 1 for i, (a, b) in enumerate(pairwise(steps)) if b != a + 1]
    return [range(a, b) for a, b in pairwise([0, *cuts, len(steps)])]


def surface(
    study: StudySpec,
    corners: Sequence[int],
    X: FloatArray,
    found: Predicted,
    best: FloatArray,
    *,
    doubt: bool,
) -> Figure:
    """Predicted objective, or with `doubt` half its 95% interval, between three domains.

    Args:
        X: (k, m) points of a grid of `STEPS` to a side.
        best: (m,) the mixture it is seen from; marked.
    """
    names = [study.domains[corner].name for corner in corners]
    inside = X[:, list(corners)]
    shares = 100 * inside / inside.sum(axis=1, keepdims=True)
    own = best[list(corners)] / best[list(corners)].sum()
    values = words.Z95 * found.sd if doubt else found.mean
    title = f"{'± of the ' if doubt else ''}predicted {objective_title(study)}, points"
    steps = [[k / (len(SHADES) - 1), shade] for k, shade in enumerate(SHADES)]
    layout = triangle(names)
    layout["meta"] |= {"tile": STEPS}
    data = [
        {
            "type": "scatterternary", "mode": "markers", "showlegend": False,
            **{s: [round(float(x), 2) for x in shares[:, k]] for k, s in enumerate("abc")},
            "text": [
                "<br>".join(
                    f"{words.elided(name, POINTED_LETTERS)} {words.share(float(w))}"
                    for name, w in zip(names, row, strict=True)
                )
                + f"<br>{words.points(float(mean))} ± {words.margin(float(sd))}"
                for row, mean, sd in zip(inside, found.mean, found.sd, strict=True)
            ],
            "hovertemplate": "%{text}<extra></extra>",
            # Cells of a honeycomb, which whoever draws makes as large as `tile` says.
            "marker": {
                "symbol": "hexagon", "size": 14, "opacity": 1, "line": {"width": 0},
                "color": [in_points(float(value)) for value in values],
                "colorscale": steps if doubt else scale(study),
                "colorbar": colour_bar(title),
            },
        },
        {
            "type": "scatterternary", "mode": "markers", "name": "mixture to train",
            **{s: [round(100 * float(w), 2)] for s, w in zip("abc", own, strict=True)},
            "hovertemplate": "mixture to train<extra></extra>", "cliponaxis": False,
            "showlegend": False,
            "marker": {
                "symbol": "circle", "size": 12, "color": "@panel",
                "line": {"color": "@ink", "width": 3},
            },
        },
    ]  # fmt: skip
    return {"data": data, "layout": layout}


def residuals(study: StudySpec, points: Sequence[FitPoint]) -> Figure:
    """By how much each run's score differs from its leave-one-out prediction, by trial.

    Bars are the 95% intervals of the predictions: those of runs that lie outside do not reach 0.
    """
    shown = drawn(points)
    data = []
    for inside, name, colour, symbol in (
        (True, "inside its 95% interval", "@ink", "circle"),
        (False, "outside", "@bad", "diamond"),
    ):
        part = [point for point in shown if is_inside(point) is inside]
        if part:
            margins = [in_points(words.Z95 * point.sd) for point in part]
            data.append(
                {
                    "type": "scatter", "mode": "markers", "name": name,
                    "x": [point.number for point in part],
                    "y": [in_points(point.actual - point.mean) for point in part],
                    "ids": [str(point.number) for point in part], "customdata": margins,
                    "error_y": {
                        "type": "data", "array": margins, "color": colour, "thickness": 1,
                        "width": 0,
                    },
                    "marker": {"color": colour, "symbol": symbol, "size": 8},
                    "hovertemplate": "trial %{x}: %{y:+.1f} ± %{customdata:.1f}<extra></extra>",
                }
            )  # fmt: skip
    layout = {
        "xaxis": axis("trial number", tickformat="d", zeroline=False),
        "yaxis": axis(
            f"actual less predicted {objective_title(study)}, points",
            zeroline=True, zerolinecolor="@muted",
        ),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 56, "r": 12, "t": 40, "b": 52},
    }  # fmt: skip
    return {"data": data, "layout": layout}
