"""What a study's floors and objectives allow: a panel of the Benchmarks page."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from service.context import Service, StudyName
from service.dashboard import dependencies
from service.dashboard.charts import fronts as front_charts
from service.dashboard.dependencies import HistoryCache, guarded
from service.dashboard.rendering import piece
from service.errors import NoFit
from service.fitting.best import BEST_BY
from service.schemas import GoalAnswer
from service.study import engine_terms
from service.study.evidence import Evidence

router = APIRouter(prefix="/ui/studies/{study}/front", include_in_schema=False)


@router.get("", dependencies=guarded)
def panel(
    study: StudyName,
    service: Service,
    histories: HistoryCache,
    surrogate: Annotated[str, Query(max_length=64)] = BEST_BY,
) -> dict[str, Any]:
    """The panel as HTML, and the front as a chart; None with one objective, or too few runs."""
    try:
        known = dependencies.fittable_evidence(service, histories, study)
        answer = service.fits.goal(known, surrogate).answer
    except NoFit as refused:
        return {"html": piece("_goal.html", trouble=refused.detail, answer=None), "figure": None}
    points = answer.front or [answer.recommended]
    html = piece(
        "_goal.html",
        trouble="",
        domains=[domain.name for domain in known.spec.domains],
        answer=answer,
        points=points,
        chosen=answer.choice or 0,
        title=front_charts.title,
    )
    return {"html": html, "figure": _figure(known, answer)}


def _figure(known: Evidence, answer: GoalAnswer) -> dict[str, Any] | None:
    goal = engine_terms.goal(known.spec)
    if not answer.front or goal is None:
        return None
    return front_charts.front(known.completed, answer, goal.objectives)
