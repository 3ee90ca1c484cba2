"""All workers: who works on what, and what came of it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service.context import Service
from service.dashboard.dependencies import address, guarded
from service.dashboard.queries import timeline, workers
from service.dashboard.rendering import piece, render

router = APIRouter(include_in_schema=False)


@router.get("/ui/workers", dependencies=guarded)
def every_worker(request: Request, service: Service) -> HTMLResponse:
    """Who works on what, and what came of it."""
    return render(request, "workers.html", **_shown(request, service))


@router.get("/ui/workers/list", dependencies=guarded)
def worker_list(request: Request, service: Service) -> dict[str, str]:
    """The list alone, for a page that is open."""
    return {"html": piece("_workers.html", **_shown(request, service))}


def _shown(request: Request, service: Service) -> dict[str, Any]:
    with service.database.read() as session:
        roster, drawn = workers.read(session), timeline.read(session)
    return {"roster": roster, "timeline": drawn, "url": address(request)}
