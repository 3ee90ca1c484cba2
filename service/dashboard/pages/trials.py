"""All trials of a study as a table: sorted, filtered, with the columns that are chosen.

The address holds the whole view, so that it can be sent to somebody; every change of it is a link
or a form, which `static/trials.js` only makes quicker.
"""

from __future__ import annotations

import csv
import io
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from db import models, studies
from service.context import Service, StudyName
from service.dashboard.dependencies import StudyBoard, guarded
from service.dashboard.navigation import StudyLink
from service.dashboard.queries import overlay, trial_table
from service.dashboard.queries.trial_table import View
from service.dashboard.rendering import piece, render
from service.study import origins

LINK = StudyLink("trials", "Trials")
router = APIRouter(prefix="/ui/studies/{study}", include_in_schema=False)

TrialView = Annotated[View, Query()]


@router.get("/trials", dependencies=guarded)
def page(request: Request, board: StudyBoard, service: Service, view: TrialView) -> HTMLResponse:
    """The page, with the rows that its address asks for."""
    with service.database.read() as session:
        row = studies.get(session, board.study.name)
        table, tags = trial_table.read(session, row, view), trial_table.known_tags(session, row)
    return render(
        request,
        "trials.html",
        board=board,
        study=board.study,
        table=table,
        cells=trial_table,
        states=models.TRIAL_STATES,
        origins=origins.TITLES,
        channels=models.CHANNELS,
        tags=tags,
        most_curves=overlay.MOST,
    )


@router.get("/trials/found", dependencies=guarded)
def found(study: StudyName, service: Service, view: TrialView) -> dict[str, str]:
    """The table alone, and the query of an address that has it."""
    with service.database.read() as session:
        table = trial_table.read(session, studies.get(session, study), view)
    html = piece(
        "_trial_table.html",
        study=table.spec,
        table=table,
        cells=trial_table,
        origins=origins.TITLES,
    )
    return {"html": html, "query": table.query()}


@router.get("/trials.csv", dependencies=guarded)
def as_csv(study: StudyName, service: Service, view: TrialView) -> Response:
    """What a view shows, all pages of it, as a file."""
    file = io.StringIO()
    with service.database.read() as session:
        rows = trial_table.records(session, studies.get(session, study), view)
        csv.writer(file, lineterminator="\n").writerows(rows)
    name = {"Content-Disposition": f'attachment; filename="{study}-trials.csv"'}
    return Response(file.getvalue(), media_type="text/csv", headers=name)
