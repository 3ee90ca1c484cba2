"""All workers: who works on what, and what came of it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service.context import Service
from service.dashboard.dependencies import address, guarded
from service.dashboard.queries import workers
from service.dashboard.rendering import piece, render

router = APIRouter(include_in_schema=False)


@router.get("/ui/workers", dependencies=guarded)
def every_worker(request: Request, service: Service) -> HTMLResponse:
    """Who works on what, and what came of it."""
    with service.database.read() as session:
        roster = workers.read(session)
    return render(request, "workers.html", roster=roster, url=address(request))


@router.get("/ui/workers/list", dependencies=guarded)
def worker_list(request: Request, service: Service) -> dict[str, str]:
    """The list alone, for a page that is open."""
    with service.database.read() as session:
        roster = workers.read(session)
    return {"html": piece("_workers.html", roster=roster, url=address(request))}
