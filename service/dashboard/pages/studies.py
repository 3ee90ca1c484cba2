"""All studies, or how to make the first one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from service.context import Context, Service
from service.dashboard.dependencies import HistoryCache, address, guarded
from service.dashboard.queries import study_list
from service.dashboard.queries.history import Histories
from service.dashboard.queries.study_list import Wanted
from service.dashboard.rendering import piece, render

router = APIRouter(include_in_schema=False)


ListView = Annotated[Wanted, Query()]


@router.get("/", dependencies=guarded)
def every_study(
    request: Request, service: Service, histories: HistoryCache, wanted: ListView
) -> HTMLResponse:
    """All studies, or how to make the first one."""
    shown = _shown(request, service, histories, wanted)
    return render(request, "studies.html", **shown)


@router.get("/ui/studies", dependencies=guarded)
def rows(
    request: Request, service: Service, histories: HistoryCache, wanted: ListView
) -> dict[str, str]:
    """The list alone, for a page that is open."""
    return {"html": piece("_studies.html", **_shown(request, service, histories, wanted))}


def _shown(
    request: Request, service: Context, histories: Histories, wanted: Wanted
) -> dict[str, Any]:
    with service.database.read() as session:
        found = study_list.read(session, histories, wanted)
    examples = request.app.state.presets.examples
    return {
        "found": found,
        "means": study_list.CONDITIONS,
        "examples": examples,
        "url": address(request),
    }
