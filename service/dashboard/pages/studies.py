"""All studies, or how to make the first one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service.context import Service
from service.dashboard.dependencies import HistoryCache, address, guarded
from service.dashboard.queries import boards
from service.dashboard.queries.history import Histories
from service.dashboard.rendering import piece, render

router = APIRouter(include_in_schema=False)


@router.get("/", dependencies=guarded)
def every_study(request: Request, service: Service, histories: HistoryCache) -> HTMLResponse:
    """All studies, or how to make the first one."""
    return render(request, "studies.html", **_studies(request, service, histories))


@router.get("/ui/studies", dependencies=guarded)
def study_list(request: Request, service: Service, histories: HistoryCache) -> dict[str, str]:
    """The list alone, for a page that is open."""
    return {"html": piece("_studies.html", **_studies(request, service, histories))}


def _studies(request: Request, service: Service, histories: Histories) -> dict[str, Any]:
    with service.database.read() as session:
        every = boards.everyone(session, histories)
    examples = request.app.state.presets.examples
    return {"boards": every, "examples": examples, "url": address(request)}
