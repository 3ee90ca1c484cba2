"""What the addresses of all pages take: the key, the study that is looked at, numbers in range."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI, Path, Query, Request, Response

from db import studies
from db.errors import StudyNotFound, TrialNotFound
from service.context import Service, StudyName
from service.dashboard import access, reading, stories
from service.dashboard.history import Histories
from service.dashboard.reading import Board
from service.dashboard.rendering import render
from service.dashboard.stories import Story

guarded = [Depends(access.require_key)]
"""For what only shows."""

asking = [Depends(access.require_key), Depends(access.require_own_page)]
"""For what computes something on the way to showing it."""

acting = [Depends(access.require_admin), Depends(access.require_own_page)]
"""For what changes something."""

Revision = Annotated[int, Query(ge=0, lt=2**63)]
Number = Annotated[int, Query(ge=1, lt=2**63)]
TrialNumber = Annotated[int, Path(description="Number of the trial in its study.", ge=1, lt=2**31)]


class NoPage(Exception):  # noqa: N818 - it names a state of things
    """The page of a study or trial that is not there: answered with a page that leads on."""

    def __init__(self, study: str, number: int | None = None) -> None:
        super().__init__(study)
        self.study, self.number = study, number


def install(app: FastAPI) -> None:
    """Lets `NoPage` be answered."""

    @app.exception_handler(NoPage)
    def missing(request: Request, error: NoPage) -> Response:
        return render("missing.html", status=404, name=error.study, number=error.number)


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
