"""What the addresses of all pages take: the key, the study that is looked at, numbers in range."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import RedirectResponse

from db import studies
from db.errors import StudyNotFound, TrialNotFound
from service.auth import route_behind
from service.context import Service, StudyName, TrialNumber
from service.dashboard import access, reading, session, stories
from service.dashboard.history import Histories
from service.dashboard.reading import Board
from service.dashboard.rendering import render
from service.dashboard.stories import Story
from service.errors import problem

guarded = [Depends(access.require_key)]
"""For what only shows."""

Behind = route_behind(access.require_key_first)
"""Routes of pages whose calls have a body, which is only read of those who have a key."""

asking = [Depends(access.require_key), Depends(session.require_token)]
"""For what computes something on the way to showing it."""

acting = [Depends(access.require_admin), Depends(session.require_token)]
"""For what changes something."""

Revision = Annotated[int, Query(ge=0, lt=2**63)]
Number = Annotated[int, Query(ge=1, lt=2**63)]


class NoPage(Exception):  # noqa: N818 - it names a state of things
    """The page of a study or trial that is not there: answered with a page that leads on."""

    def __init__(self, study: str, number: int | None = None) -> None:
        super().__init__(study)
        self.study, self.number = study, number


def install(app: FastAPI) -> None:
    """Lets `NoPage` and `NotSignedIn` be answered."""

    @app.exception_handler(NoPage)
    def missing(request: Request, error: NoPage) -> Response:
        return render(request, "missing.html", status=404, name=error.study, number=error.number)

    @app.exception_handler(access.NotSignedIn)
    def strange(request: Request, error: access.NotSignedIn) -> Response:
        is_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if not is_page:
            return problem(error.status, error.code, error.detail, headers=error.headers)
        to = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/ui/sign-in?to={quote(to)}", 303)


def _histories(request: Request) -> Histories:
    # One for each app, made when first asked for: the cache is the pages' own affair.
    state = request.app.state
    if not hasattr(state, "dashboard_histories"):
        state.dashboard_histories = Histories()
    histories: Histories = state.dashboard_histories
    return histories


Known = Annotated[Histories, Depends(_histories)]


def _board(study: StudyName, service: Service, histories: Known) -> Board:
    with service.database.read() as session:
        try:
            return reading.board(session, studies.get(session, study), histories)
        except StudyNotFound as error:
            raise NoPage(study) from error


Shown = Annotated[Board, Depends(_board)]
"""The study of a page, or `NoPage`."""


def story(study: StudyName, number: TrialNumber, service: Service) -> Story:
    """All about a trial.

    Raises:
        NoPage: there is no such study or trial.
    """
    with service.database.read() as session:
        try:
            return stories.read(session, studies.get(session, study), number)
        except StudyNotFound as error:
            raise NoPage(study) from error
        except TrialNotFound as error:
            raise NoPage(study, number) from error


Told = Annotated[Story, Depends(story)]
"""The trial of a page, or `NoPage`."""
