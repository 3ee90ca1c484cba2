"""The chart of a study's progress: every run, and the best mixture so far (`figure.py` says how
charts are made)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.dashboard import words
from service.dashboard.charts import leads
from service.dashboard.charts.figure import Figure, axis, in_points, objective_title
from service.dashboard.queries.history import History
from service.dashboard.queries.progress import By, Progress
from service.schemas import Score, Study, StudyChange
from service.study.origins import ORIGINS, TITLES
from service.study.runs import Run

BY: dict[By, str] = {"trial": "trial number", "time": "time", "gpu_hours": "GPU-hours used"}

INTERVALS = 300
"""Runs up to which each is drawn with its interval; more hide each other, and the best."""

MARKS: dict[str, tuple[str, str]] = {
    "opening": ("@muted", "circle-open"),
    "search": ("@busy", "circle"),
    "confirmation": ("@good", "diamond"),
    "queued": ("@d6", "square"),
    "attached": ("@muted", "square-open"),
    "run": ("@muted", "circle"),
}
"""Colour and shape of a run's dot by its origin; `run` where that is not told."""

MOST_NAMED = 8
"""Places of changes that are named on the chart; of more the names would cover each other."""

NAME_LETTERS = 16
"""Of what was changed, at such a place; the whole is shown when it is pointed at."""

Place = float | str


@dataclass(frozen=True, slots=True)
class _Along:
    """What runs stand along.

    Attributes:
        place: of each trial by number; a time as text.
        reached: the same for the best mixture so far, never before that of an earlier one.
        behind: where a change of the study was made.
        edges: where the axis begins and ends.
        hover: what is said of a trial that is pointed at, before its score.
        ticks: of the axis, as Plotly has them.
    """

    title: str
    place: Callable[[int], Place | None]
    reached: Callable[[int], Place | None]
    behind: Callable[[StudyChange], Place]
    edges: tuple[Place, Place]
    hover: str
    ticks: Mapping[str, Any]


def _by_number(numbers: Sequence[int]) -> _Along:
    last = max(2, *numbers)
    ticks = {"tickformat": "d"} | ({"dtick": 1} if last < 10 else {})
    return _Along(
        BY["trial"],
        float,
        float,
        lambda change: change.after_trial + 0.5,
        (0.5, last + 0.5),
        "",
        ticks,
    )


def _by_cost(numbers: Sequence[int], gpu_hours: Mapping[int, float]) -> _Along:
    """A trial stands at what all trials up to it have cost."""
    place = leads.hours_up_to(numbers, gpu_hours)
    edges = (0.0, 1.02 * place[numbers[-1]])
    return _Along(
        BY["gpu_hours"],
        place.get,
        place.get,
        lambda change: place.get(change.after_trial, 0.0),
        edges,
        ", %{x:.3g} GPU-hours",
        {},
    )


def _by_time(numbers: Sequence[int], ended: Mapping[int, datetime]) -> _Along:
    """A trial stands at its end. Those that come later by number may end earlier: the best so far
    is known once all up to its number have ended."""
    times = [ended[number] for number in numbers]
    reached = dict(zip(numbers, itertools.accumulate(times, max), strict=True))
    room = (max(times) - min(times)) * 0.02
    first, last = min(times) - room, max(times) + room
    return _Along(
        BY["time"],
        lambda number: _text(ended[number]) if number in ended else None,
        lambda number: _text(reached[number]),
        lambda change: _text(min(max(change.at, first), last)),
        (_text(first), _text(last)),
        ", %{x|%b %-d, %H:%M} UTC",
        {"type": "date"},
    )


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def progress(
    study: Study,
    history: History,
    known: Progress | None = None,
    by: By = "trial",
    changes: Sequence[StudyChange] = (),
) -> Figure:
    """Every completed trial's objective with its 95% interval, and the best mixture so far.

    Args:
        history: with a run at least.
        known: what is told of trials besides their scores, with what they stand along.
        changes: of the study, marked where they were made.
    """
    told = Progress() if known is None else known
    numbers = [run.number for run in history.runs]
    along = _by_number([*numbers, *told.failed, *(one.number for one in told.stopped)])
    if by == "gpu_hours":
        along = _by_cost(numbers, told.gpu_hours)
    elif by == "time":
        along = _by_time(numbers, told.ended)
    data = _intervals(history.runs, along) if len(numbers) <= INTERVALS else []
    kinds = {number: told.origins.get(number, "run") for number in numbers}
    for kind in (*ORIGINS, "run"):
        runs = [run for run in history.runs if kinds[run.number] == kind]
        if runs:
            data.append(_dots(runs, kind, along, is_one_of_many=len(numbers) > INTERVALS))
    data += _not_whole(told, along, history.runs, 8 if len(numbers) <= INTERVALS else 5)
    uniform = None if history.uniform is None else history.uniform.score
    for name, score, dash in (
        ("uniform mixture", uniform, "dash"),
        ("base model, untrained", study.baseline_scores.objective, "dot"),
    ):
        if score is not None:
            data += _reference(name, score, dash, along.edges)
    layout: dict[str, Any] = {
        "xaxis": axis(along.title, range=list(along.edges), zeroline=False, **along.ticks),
        "yaxis": axis(f"{objective_title(study)}, points of 100", zeroline=False),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 60, "r": 16, "t": 56, "b": 52},
    }
    layout |= _marks(changes, along, numbers[-1])
    return {"data": [*data, *_best(history, along)], "layout": layout}


def _intervals(runs: Sequence[Run], along: _Along) -> list[dict[str, Any]]:
    """One broken line, not error bars: one element of the page instead of three a trial."""
    x: list[Place | None] = []
    y: list[float | None] = []
    for run in runs:
        value, spread = in_points(run.score.value), in_points(words.Z95 * run.score.se)
        at = along.place(run.number)
        x += [at, at, None]
        y += [round(value - spread, 3), round(value + spread, 3), None]
    return [
        {
            "type": "scatter", "mode": "lines", "name": "95% interval", "x": x, "y": y,
            "line": {"color": "@faint", "width": 1.5}, "hoverinfo": "skip", "showlegend": False,
        }
    ]  # fmt: skip


def _dots(runs: Sequence[Run], kind: str, along: _Along, *, is_one_of_many: bool) -> dict[str, Any]:
    colour, symbol = MARKS[kind]
    name = "run" if kind == "run" else TITLES[kind]  # type: ignore[index]
    marker: dict[str, Any] = {"color": colour, "symbol": symbol, "size": 8}
    if is_one_of_many:
        marker |= {"size": 4, "opacity": 0.55}
    return {
        "type": "scatter", "mode": "markers", "name": name,
        "x": [along.place(run.number) for run in runs],
        "y": [in_points(run.score.value) for run in runs],
        "ids": [str(run.number) for run in runs],
        "customdata": [in_points(words.Z95 * run.score.se) for run in runs],
        "marker": marker,
        "hovertemplate": f"trial %{{id}}, {name}{along.hover}: "
        "%{y:.1f} ± %{customdata:.1f}<extra></extra>",
    }  # fmt: skip


def _not_whole(
    told: Progress, along: _Along, runs: Sequence[Run], size: int
) -> list[dict[str, Any]]:
    """What was stopped early, at the score it had then; what failed, below all scores."""
    found: list[dict[str, Any]] = []
    stopped = [one for one in told.stopped if along.place(one.number) is not None]
    if stopped:
        found.append(
            {
                "type": "scatter", "mode": "markers", "name": "stopped early",
                "x": [along.place(one.number) for one in stopped],
                "y": [in_points(one.score.value) for one in stopped],
                "ids": [str(one.number) for one in stopped],
                "customdata": [one.step for one in stopped],
                "marker": {"color": "@d5", "symbol": "triangle-down-open", "size": size},
                "hovertemplate": "trial %{id}, stopped early at step "
                f"%{{customdata}}{along.hover}: %{{y:.1f}}<extra></extra>",
            }
        )  # fmt: skip
    failed = [number for number in told.failed if along.place(number) is not None]
    if failed:
        lowest = in_points(min(run.score.value - words.Z95 * run.score.se for run in runs))
        found.append(
            {
                "type": "scatter", "mode": "markers", "name": "failed",
                "x": [along.place(number) for number in failed], "y": [lowest] * len(failed),
                "ids": [str(number) for number in failed],
                "text": [f"trial {number} failed" for number in failed],
                "marker": {"color": "@bad", "symbol": "x-thin-open", "size": size},
                "hovertemplate": f"%{{text}}{along.hover}<extra></extra>",
            }
        )  # fmt: skip
    return found


def _best(history: History, along: _Along) -> list[dict[str, Any]]:
    """The best mixture so far as a line of steps in its band; nothing while the study allows none
    of those that were run."""
    if not history.leads:
        return []
    last = history.runs[-1].number
    x = [along.reached(number) for number in [*(one.number for one in history.leads), last]]
    return leads.steps("best mixture so far", history.leads, x, {"color": "@ink"}, "@lead")


def _marks(changes: Sequence[StudyChange], along: _Along, last: int) -> dict[str, Any]:
    """A line where changes were made, with what was changed.

    Args:
        last: number of the last run.
    """
    found: dict[Place, list[StudyChange]] = {}
    for change in changes:
        found.setdefault(along.behind(change), []).append(change)
    shapes = [
        {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1,
         "line": {"color": "@muted", "width": 1, "dash": "dot"}}
        for x in found
    ]  # fmt: skip
    annotations = []
    for x, made in found.items():
        named = list(dict.fromkeys(_subject(path) for change in made for path in change.changes))
        annotations.append(
            {"x": x, "yref": "paper", "y": 0, "yanchor": "bottom",
             "xanchor": "left" if 2 * made[0].after_trial < last else "right",
             "showarrow": False, "text": words.elided(named[0], NAME_LETTERS)
             + (f" +{len(named) - 1}" if named[1:] else ""),
             "hovertext": ", ".join(named), "font": {"color": "@soft"}}
        )  # fmt: skip
    if not found:
        return {}
    return {"shapes": shapes, "annotations": annotations if len(found) <= MOST_NAMED else []}


def _subject(path: str) -> str:
    """What a changed path is about: a domain by its name, anything else by its field."""
    parts = path.split(".")
    is_domain = parts[0] == "domains" and len(parts) > 1
    return parts[1] if is_domain else parts[0].replace("_", " ")


def _reference(
    name: str, score: Score, dash: str, edges: tuple[Place, Place]
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
