"""Learning curves of chosen trials, laid over each other."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import Field

from db import studies, trials
from db.errors import TrialNotFound
from service.context import Context, Service, StudyName
from service.dashboard.charts import overlay as overlay_charts
from service.dashboard.dependencies import NoPage, StudyBoard, guarded
from service.dashboard.queries import overlay
from service.dashboard.queries.forms import Unset
from service.dashboard.rendering import piece, render
from service.schemas import MetricName

router = APIRouter(prefix="/ui/studies/{study}/curves", include_in_schema=False)

Numbers = Annotated[
    list[Annotated[int, Field(ge=1, lt=2**31)]], Query(alias="trial", max_length=100)
]
Metric = Annotated[MetricName | None, Unset, Query()]


@router.get("", dependencies=guarded)
def page(
    request: Request,
    board: StudyBoard,
    service: Service,
    numbers: Numbers = [],  # noqa: B006 - FastAPI copies it
    metric: Metric = None,
) -> HTMLResponse:
    """The trials with their curves in numbers; charts are fetched by the page."""
    return render(
        request,
        "curves.html",
        board=board,
        study=board.study,
        overlay=_read(service, board.study.name, numbers, metric),
        most=overlay.MOST,
    )


@router.get("/drawn", dependencies=guarded)
def drawn(
    study: StudyName,
    service: Service,
    numbers: Numbers = [],  # noqa: B006 - FastAPI copies it
    metric: Metric = None,
) -> dict[str, Any]:
    """The charts, each None where no run has it, and the table of the same."""
    found = _read(service, study, numbers, metric)
    return {
        "metric": overlay_charts.metric(found),
        "scores": overlay_charts.scores(found),
        "html": piece("_overlay.html", overlay=found, study=found.study),
    }


def _read(service: Context, study: str, numbers: list[int], metric: str | None) -> overlay.Overlay:
    with service.database.read() as session:
        row = studies.get(session, study)
        ids = []
        for number in numbers:
            try:
                ids.append(trials.id_of(session, row, number))
            except TrialNotFound as error:
                raise NoPage(study, number) from error
        return overlay.read(session, row, ids, metric)
