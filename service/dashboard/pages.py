"""Addresses of the pages, and of the pieces that keep an open page up to date.

Pieces come as HTML made by the same templates as the page, so there is one place that shows a
trial, and one that escapes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse

from db import studies
from service import surrogate_views, views
from service.context import Service, StudyName
from service.dashboard import (
    assets,
    benchmark_page,
    figures,
    fit_words,
    fitting,
    mixture_page,
    new_study,
    news,
    reading,
    sign_in,
    surface_page,
    trial_page,
    trust,
    what_if,
    workers,
)
from service.dashboard.entry import Known, Number, Revision, Shown, guarded
from service.dashboard.history import Histories
from service.dashboard.rendering import piece, render
from service.errors import Refused
from service.routes import studies as calls
from service.schemas import StudySpec, TrainerName, Trial

router = APIRouter(include_in_schema=False)
for part in (
    sign_in,
    news,
    new_study,
    trust,
    trial_page,
    what_if,
    mixture_page,
    benchmark_page,
    surface_page,
):
    router.include_router(part.router)

FOR_GOOD = "public, max-age=31536000, immutable"


@router.get("/", dependencies=guarded)
def every_study(request: Request, service: Service, histories: Known) -> HTMLResponse:
    """All studies, or how to make the first one."""
    return render(request, "studies.html", **_studies(request, service, histories))


@router.get("/ui/studies", dependencies=guarded)
def study_list(request: Request, service: Service, histories: Known) -> dict[str, str]:
    """The list alone, for a page that is open."""
    return {"html": piece("_studies.html", **_studies(request, service, histories))}


@router.get("/ui/workers", dependencies=guarded)
def every_worker(request: Request, service: Service) -> HTMLResponse:
    """Who works on what, and what came of it."""
    with service.database.read() as session:
        roster = workers.read(session)
    return render(request, "workers.html", roster=roster, url=_address(request))


@router.get("/ui/workers/list", dependencies=guarded)
def worker_list(request: Request, service: Service) -> dict[str, str]:
    """The list alone, for a page that is open."""
    with service.database.read() as session:
        roster = workers.read(session)
    return {"html": piece("_workers.html", roster=roster, url=_address(request))}


@router.get("/ui/studies/{study}/export", dependencies=guarded)
def export(
    study: StudyName,
    service: Service,
    format: Literal["csv", "json", "yaml"],  # noqa: A002
    trainer: TrainerName | None = None,
) -> Response:
    """The API's export: a browser cannot send that the key, and a link cannot either."""
    return calls.export(study, service, format, trainer)


@router.get("/ui/studies/{study}", dependencies=guarded)
def one_study(request: Request, board: Shown, service: Service) -> HTMLResponse:
    """A study with its newest trials; charts are fetched by the page."""
    # Read after the board, so they are not older: what changed in between is only sent again.
    with service.database.read() as session:
        rows = reading.rows(session, studies.get(session, board.study.name))
    return render(
        request,
        "study.html",
        board=board,
        rows=rows,
        surrogates=fit_words.TITLES,
        fits_at_once=len(board.history.runs) <= fitting.FITTED_AT_ONCE,
        most_runs=fitting.FITTED_AT_ALL,
    )


@router.get("/ui/studies/{study}/changes", dependencies=guarded)
def changes(
    study: StudyName, service: Service, histories: Known, after: Revision, lowest: Number = 1
) -> dict[str, Any]:
    """What changed after a revision: trials from number `lowest` on, and the head of the page."""
    with service.database.read() as session:
        row = studies.get(session, study)
        if row.revision == after:
            return {"after": after, "more": False, "results": row.results, "head": None, "rows": []}
        board = reading.board(session, row, histories)
        changed = reading.changes(session, row, after, lowest)
    return {
        "after": changed.after,
        "more": changed.more,
        "results": board.results,
        "head": piece("_head.html", board=board),
        "rows": _rows(board.study, changed.trials),
    }


@router.get("/ui/studies/{study}/rows", dependencies=guarded)
def older_rows(study: StudyName, service: Service, before: Number) -> dict[str, Any]:
    """The next older trials for 'show more'."""
    with service.database.read() as session:
        row = studies.get(session, study)
        rows = reading.rows(session, row, before)
        spec = views.spec(row)
    return {"more": rows.more, "rows": _rows(spec, rows.trials)}


@router.get("/ui/studies/{study}/progress", dependencies=guarded)
def progress(study: StudyName, service: Service, histories: Known) -> dict[str, Any]:
    """The chart of all completed trials; `figure` is None while there is none."""
    with service.database.read() as session:
        row = studies.get(session, study)
        board = reading.board(session, row, histories)
    figure = figures.progress(board.study, board.history) if board.history.runs else None
    return {"results": board.results, "figure": figure}


@router.get("/ui/studies/{study}/fits/{surrogate}", dependencies=guarded)
def fit(study: StudyName, surrogate: str, service: Service, histories: Known) -> dict[str, Any]:
    """A surrogate's figures in words, and its charts; why there are none, in words too."""
    try:
        evidence = fitting.known(service, histories, study)
        known = evidence.spec
        diagnosis = service.fits.diagnosis(evidence, surrogate)
        found = surrogate_views.fit(evidence, surrogate, diagnosis)
    except Refused as refused:
        if refused.status != 409:
            raise
        return {"html": piece("_fit.html", fit=None, trouble=refused.detail), "figures": {}}
    drawn = figures.of_fit(known, found)
    return {"html": piece("_fit.html", fit=found, study=known, drawn=drawn), "figures": drawn}


@router.get("/ui/static/{version}/{name}")
def static(
    request: Request,
    version: Annotated[str, Path(max_length=64)],
    name: Annotated[str, Path(max_length=64)],
) -> Response:
    """A script, style sheet or picture; holds nothing of any study, so it needs no key."""
    try:
        asset = assets.asset(name)
    except KeyError:
        raise Refused(404, "not-found", f"no static file {name!r}") from None
    headers = {
        "Vary": "Accept-Encoding",
        # An address of another version gets what there is, but must not keep it.
        "Cache-Control": FOR_GOOD if version == assets.version() else "no-cache",
    }
    body = asset.plain
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"], body = "gzip", asset.gzipped
    return Response(body, media_type=asset.media_type, headers=headers)


def _studies(request: Request, service: Service, histories: Histories) -> dict[str, Any]:
    with service.database.read() as session:
        boards = reading.everyone(session, histories)
    examples = request.app.state.presets.examples
    return {"boards": boards, "examples": examples, "url": _address(request)}


def _address(request: Request) -> str:
    """Where the reader reached the service: what a command line must name."""
    return str(request.base_url).rstrip("/")


def _rows(study: StudySpec, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    return [
        {
            "number": trial.number,
            "state": trial.state,
            "html": piece("_trial.html", trial=trial, study=study),
        }
        for trial in trials
    ]
