"""What the addresses of all pages take: the key, the study that is looked at, numbers in range."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import RedirectResponse

from db import studies
from db.errors import StudyNotFound, TrialNotFound
from service.context import Context, Service, StudyName, TrialNumber
from service.dashboard import fit_words, session
from service.dashboard.queries import boards, stories
from service.dashboard.queries.boards import Board
from service.dashboard.queries.history import Histories
from service.dashboard.queries.stories import Story
from service.dashboard.rendering import render
from service.errors import NoFit
from service.http.guards import route_behind
from service.http.problems import answer
from service.search import surrogates
from service.study import evidence, views
from service.study.evidence import Evidence

guarded = [Depends(session.require_key)]
"""For what only shows."""

GuardedRoute = route_behind(session.require_key_first)
"""Routes of pages whose calls have a body, which is only read of those who have a key."""

asking = [Depends(session.require_key), Depends(session.require_token)]
"""For what computes something on the way to showing it."""

acting = [Depends(session.require_change), Depends(session.require_token)]
"""For what changes something."""

copying = [Depends(session.require_admin), Depends(session.require_token)]
"""For what makes another study of the one in the address."""

Revision = Annotated[int, Query(ge=0, lt=2**63)]
Number = Annotated[int, Query(ge=1, lt=2**63)]


FITTED_AT_ALL = 2000
"""Completed runs up to which they are fitted: the memory of a fit grows with their square."""


def fitted_unasked(service: Context) -> int:
    """Completed runs up to which a page asks for their fits by itself."""
    return min(service.settings.fits_unasked, FITTED_AT_ALL)


SIDE_BY_SIDE = tuple(surrogates.SIDE_BY_SIDE)
"""Whose predictions are shown beside each other: both know how sure they are where."""


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

    @app.exception_handler(session.NotSignedIn)
    def not_signed_in(request: Request, error: session.NotSignedIn) -> Response:
        is_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if not is_page:
            return answer(error)
        to = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/ui/sign-in?to={quote(to)}", 303)


def _histories(request: Request) -> Histories:
    # One for each app, made when first asked for: only pages use this cache.
    state = request.app.state
    if not hasattr(state, "dashboard_histories"):
        state.dashboard_histories = Histories()
    histories: Histories = state.dashboard_histories
    return histories


HistoryCache = Annotated[Histories, Depends(_histories)]


def _board(study: StudyName, service: Service, histories: HistoryCache) -> Board:
    with service.database.read() as session:
        try:
            return boards.board(session, studies.get(session, study), histories)
        except StudyNotFound as error:
            raise NoPage(study) from error


StudyBoard = Annotated[Board, Depends(_board)]
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


TrialStory = Annotated[Story, Depends(story)]
"""The trial of a page, or `NoPage`."""


def address(request: Request) -> str:
    """Where the reader reached the service: what a command line must name."""
    return str(request.base_url).rstrip("/")


def fittable_evidence(service: Context, histories: Histories, study: str) -> Evidence:
    """What a study knows.

    Raises:
        Refused: more than is fitted here.
        StudyNotFound: there is none of this name.
    """
    with service.database.read() as session:
        row = studies.get(session, study)
        n_runs = len(histories.of(session, row, views.spec(row)).runs)
        if n_runs > FITTED_AT_ALL:
            raise NoFit("too-many-results", fit_words.too_many(n_runs, FITTED_AT_ALL))
        return evidence.named(session, study)
