"""One trial: its story, its scores, and what can be done about it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from db import curves, studies, trials
from service.context import Actor, Context, Service, StudyName, TrialNumber
from service.dashboard.charts import curves as curve_charts
from service.dashboard.charts import study as study_charts
from service.dashboard.dependencies import GuardedRoute, Revision, TrialStory, acting
from service.dashboard.queries import repeats
from service.dashboard.queries.stories import Story
from service.dashboard.rendering import piece, render
from service.routes import trials as calls
from service.schemas import Trial, TrialPatch
from service.study import views

router = APIRouter(
    prefix="/ui/studies/{study}/trials/{number}", include_in_schema=False, route_class=GuardedRoute
)


@router.get("")
def one_trial(request: Request, story: TrialStory, service: Service) -> HTMLResponse:
    """The whole page."""
    return render(request, "trial.html", **_shown(story, service))


@router.get("/story")
def refreshed_trial(story: TrialStory, service: Service, after: Revision = 0) -> dict[str, Any]:
    """What changed after a revision of the trial, for a page that is open.

    `html` is None when nothing did, `figure` with scores of one step.
    """
    if story.trial.revision == after:
        return {"revision": after, "html": None, "rest": None, "figure": None}
    shown = _shown(story, service)
    return {
        "revision": story.trial.revision,
        "html": piece("_story.html", **shown),
        "rest": piece("_rest.html", **shown),
        "figure": study_charts.learning(story.study, story.trial.measurements),
    }


def _shown(story: Story, service: Context) -> dict[str, Any]:
    """What the templates show."""
    with service.database.read() as session:
        same = repeats.read(session, studies.get(session, story.study.name), story.trial)
    return {"story": story, "study": story.study, "trial": story.trial, "same": same}


@router.get("/curves")
def training_curves(study: StudyName, number: TrialNumber, service: Service) -> dict[str, Any]:
    """Charts of what the run said of itself at its steps; empty while it said nothing."""
    with service.database.read() as session:
        row = studies.get(session, study)
        trial = trials.get(session, trials.id_of(session, row, number))
        points = curves.read(session, trial)
        curve = views.curve(trial, points, None, curve_charts.POINTS)
        charts = curve_charts.training(views.spec(row), curve)
    return {
        "html": piece("_curves.html", charts=charts),
        "titles": [chart.title for chart in charts],
        "figures": [chart.figure for chart in charts],
    }


@router.post("/cancel", dependencies=acting)
def cancel(study: StudyName, number: TrialNumber, service: Service, actor: Actor) -> dict[str, str]:
    trial = calls.cancel(_id(study, number, service), service, actor)
    return {"state": trial.state}


@router.post("/retry", dependencies=acting)
def retry(study: StudyName, number: TrialNumber, service: Service, actor: Actor) -> dict[str, str]:
    trial = calls.retry(_id(study, number, service), service, actor)
    return {"state": trial.state}


@router.post("/pause", dependencies=acting)
def pause(study: StudyName, number: TrialNumber, service: Service, actor: Actor) -> dict[str, str]:
    return _asked(calls.pause(_id(study, number, service), service, actor))


@router.post("/continue", dependencies=acting)
def go_on(study: StudyName, number: TrialNumber, service: Service, actor: Actor) -> dict[str, str]:
    trial = calls.go_on(_id(study, number, service), service, actor)
    return {"state": trial.state}


@router.post("/stop", dependencies=acting)
def stop(study: StudyName, number: TrialNumber, service: Service, actor: Actor) -> dict[str, str]:
    return _asked(calls.stop(_id(study, number, service), service, actor))


@router.post("/note", dependencies=acting)
def note(
    study: StudyName, number: TrialNumber, body: TrialPatch, service: Service, actor: Actor
) -> dict[str, Any]:
    trial = calls.patch(_id(study, number, service), body, service, actor)
    return {"note": trial.note, "tags": trial.tags}


def _asked(trial: Trial) -> dict[str, str]:
    if trial.asked is None:
        return {"state": trial.state}
    return {"state": f"asked to {trial.asked}"}


def _id(study: str, number: int, service: Service) -> int:
    with service.database.read() as session:
        return trials.id_of(session, studies.get(session, study), number)
