"""What all charts are made of: plain Plotly JSON, data and layout, scores in points of 100.

Colours are roles (`@ink`, `@muted`, `@d3`), not values: whoever draws puts in those of the light
or the dark page (`static/charts.js`). Texts hold only names of the `Name` pattern and numbers, for
Plotly reads a kind of HTML in them. `ids` are trial numbers, with `/` and something more where a
trial has several marks: a click leads to the trial's page. Long names are shown without their
middle; `names` of a layout's `meta` says for whoever draws what each stands for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.dashboard import words
from service.schemas import StudySpec

Figure = dict[str, Any]


def in_points(value: float) -> float:
    return round(100 * value, 3)


def axis(title: str, **rest: Any) -> dict[str, Any]:
    return {"title": {"text": title}, **rest}


def name_axis(shown: Mapping[str, str], **rest: Any) -> dict[str, Any]:
    """An axis of names, which stay names where they look like numbers or dates.

    Args:
        shown: how each of them is, as `words.short_names` has it.
    """
    ticks = {"tickmode": "array", "tickvals": list(shown), "ticktext": list(shown.values())}
    return {"type": "category", "automargin": True, **ticks, **rest}


def whole_names(shown: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """For a layout's `meta`: the whole name of each that is shown without its middle."""
    names = {short: name for name, short in shown.items() if short != name}
    return {"names": names} if names else {}


def objective_label(study: StudySpec) -> str:
    """`Out-Score`, `In-Score`, or the study's own name for it."""
    known = {"out_score": "Out-Score", "in_score": "In-Score"}
    return known.get(study.objective.name, study.objective.name)


LEGEND_LETTERS = 22
"""Of a name in a legend: one has room beside another on a phone."""

TITLE_LETTERS = 16
"""Of a name in the title of an axis or of a bar of colours."""


def objective_title(study: StudySpec) -> str:
    """`objective_label` where a chart has room for it."""
    return words.elided(objective_label(study), TITLE_LETTERS)
