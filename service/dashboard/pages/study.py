"""A study's own page, and the pieces that keep it up to date while it is open.

Pieces come as HTML made by the same templates as the page, so there is one place that shows a
trial, and one that escapes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from db import studies
from db.errors import StudyNotFound
from service.context import Service, StudyName
from service.dashboard import dependencies, fit_words
from service.dashboard.charts import fits as fit_charts
from service.dashboard.charts import progress as progress_charts
from service.dashboard.dependencies import HistoryCache, NoPage, Number, Revision, guarded
from service.dashboard.queries import boards
from service.dashboard.queries import progress as progress_queries
from service.dashboard.queries.boards import Board
from service.dashboard.rendering import piece, render_head_first
from service.errors import NoFit
from service.fitting.records import FitRecord, Made
from service.routes import studies as calls
from service.schemas import StudyChange, StudySpec, TrainerName, Trial
from service.study import cost, edits, views

router = APIRouter(include_in_schema=False)


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
def one_study(
    request: Request, study: StudyName, service: Service, histories: HistoryCache
) -> Response:
    """A study with its newest trials; charts are fetched by the page.

    The head comes first: Plotly takes a browser longer than thousands of runs take to be read.
    """
    with service.database.read() as session:
        try:
            row = studies.get(session, study)
        except StudyNotFound as error:
            raise NoPage(study) from error
        spec, has_results = views.spec(row), row.results > 0

    def read() -> tuple[Board, Sequence[Trial], Sequence[StudyChange]]:
        with service.database.read() as session:
            row = studies.get(session, study)
            board = boards.board(session, row, histories)
            return board, boards.newest(session, row), edits.history(session, row)

    return render_head_first(
        request,
        "study.html",
        study=spec,
        has_results=has_results,
        read=read,
        n_newest=boards.NEWEST,
        progress_by=progress_charts.BY,
        surrogates=fit_words.TITLES,
        most_at_once=dependencies.fitted_unasked(service),
        most_runs=dependencies.FITTED_AT_ALL,
    )


@router.get("/ui/studies/{study}/changes", dependencies=guarded)
def changes(
    study: StudyName, service: Service, histories: HistoryCache, after: Revision, lowest: Number = 1
) -> dict[str, Any]:
    """What changed after a revision: trials from number `lowest` on, and the head of the page."""
    with service.database.read() as session:
        row = studies.get(session, study)
        if row.revision == after:
            same = {"results": row.results, "edits": row.edits}
            return same | {"after": after, "more": False, "head": None, "rows": []}
        board = boards.board(session, row, histories)
        changed = boards.changes(session, row, after, lowest)
    return {
        "after": changed.after,
        "more": changed.more,
        "results": board.results,
        "edits": row.edits,
        "head": piece("_head.html", board=board),
        "rows": _rows(board.study, changed.trials),
    }


@router.get("/ui/studies/{study}/progress", dependencies=guarded)
def progress(
    study: StudyName,
    service: Service,
    histories: HistoryCache,
    by: progress_queries.By = "trial",
) -> dict[str, Any]:
    """The chart of all completed trials, and what was changed in between; `figure` is None while
    there is none."""
    with service.database.read() as session:
        row = studies.get(session, study)
        board = boards.board(session, row, histories)
        known = progress_queries.read(session, row, board.study, by)
        told = edits.history(session, row)
    figure = None
    if board.history.runs:
        figure = progress_charts.progress(board.study, board.history, known, by, told)
    changes = piece("_changes.html", changes=told) if told else ""
    return {"results": board.results, "figure": figure, "changes": changes}


@router.get("/ui/studies/{study}/cost", dependencies=guarded)
def spent(study: StudyName, service: Service) -> dict[str, str]:
    """Where the GPU-hours went, in HTML."""
    with service.database.read() as session:
        row = studies.get(session, study)
        found, spec = cost.read(session, row, in_parts=True), views.spec(row)
    return {"html": piece("_cost.html", cost=found, study=spec)}


Mark = Annotated[str, Query(max_length=64)]
"""Of the fit that the page shows already."""


@router.get("/ui/studies/{study}/fits/{surrogate}", dependencies=guarded)
def fit(
    study: StudyName,
    surrogate: str,
    service: Service,
    histories: HistoryCache,
    shown: Mark = "",
) -> dict[str, Any]:
    """A surrogate's figures in words, and its charts; why there are none, in words too."""
    try:
        evidence = dependencies.fittable_evidence(service, histories, study)
        made = service.fits.fit(evidence, surrogate)
    except NoFit as refused:
        html = piece("_fit.html", fit=None, trouble=refused.detail)
        return {"mark": "", "age": "", "html": html, "figures": {}}
    return _drawn(evidence.spec, made, shown)


@router.get("/ui/studies/{study}/fits/{surrogate}/newest", dependencies=guarded)
def newest_fit(
    study: StudyName, surrogate: str, service: Service, shown: Mark = ""
) -> dict[str, Any]:
    """The same of the newest fit that is kept, at once; without a `mark` where none is. `since`
    tells how many results have come since then, `so_far_s` how long the next has been under way.
    """
    with service.database.read() as session:
        row = studies.get(session, study)
        found = service.fits.newest(session, row, surrogate)
        spec, study_id = views.spec(row), row.id
    told = {"so_far_s": service.fits.so_far_s(study_id, surrogate)}
    if found is None:
        return told | {"mark": ""}
    made, since = found
    return told | {"since": since} | _drawn(spec, made, shown, since)


def _drawn(study: StudySpec, made: Made[FitRecord], shown: str, since: int = 0) -> dict[str, Any]:
    """A fit's age, and the rest of it unless it is shown already."""
    found = made.record.fit
    told = {"mark": made.mark, "age": piece("_fit_age.html", fit=found, made=made, since=since)}
    if made.mark == shown:
        return told
    drawn = fit_charts.of_fit(study, found)
    html = piece("_fit.html", fit=found, study=study, drawn=drawn)
    return told | {"html": html, "figures": drawn}


def _rows(study: StudySpec, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    return [
        {
            "number": trial.number,
            "state": trial.state,
            "html": piece("_trial.html", trial=trial, study=study),
        }
        for trial in trials
    ]
