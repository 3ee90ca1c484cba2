"""What all charts are made of: plain Plotly JSON, data and layout, scores in points of 100.

Colours are roles (`@ink`, `@muted`, `@d3`), not values: whoever draws puts in those of the light
or the dark page (`static/charts.js`). Texts hold only names of the `Name` pattern and numbers, for
Plotly reads a kind of HTML in them. `ids` are trial numbers, with `/` and something more where a
trial has several marks: a click leads to the trial's page.
"""

from __future__ import annotations

from typing import Any

from service.schemas import StudySpec

Figure = dict[str, Any]


def in_points(value: float) -> float:
    return round(100 * value, 3)


def axis(title: str, **rest: Any) -> dict[str, Any]:
    return {"title": {"text": title}, **rest}


def objective_label(study: StudySpec) -> str:
    """`Out-Score`, `In-Score`, or the study's own name for it."""
    known = {"out_score": "Out-Score", "in_score": "In-Score"}
    return known.get(study.objective.name, study.objective.name)
