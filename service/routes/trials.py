"""Trials as people see and change them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from db import curves, proposals, steering, studies, trials
from service.context import Actor, Service, StudyName, TrialId, TrialNumber
from service.errors import Refused
from service.http.guards import by_method, route_behind
from service.http.paging import that_fit
from service.http.problems import describe
from service.schemas import (
    Curve,
    MetricName,
    Phase,
    Trial,
    TrialContinue,
    TrialCreate,
    TrialPage,
    TrialPatch,
    TrialState,
)
from service.study import checks, schedules, views

router = APIRouter(tags=["trials"], route_class=route_behind(by_method))

PAGE = 500
"""Trials a page at most."""


@router.post(
    "/studies/{study}/trials",
    status_code=201,
    summary="Add a finished run, or queue a mixture by hand",
    responses={
        200: {"model": Trial, "description": "This idempotency key came before."},
        201: {"description": "Added."},
        **describe(404, 409),
    },
)
def add(
    study: StudyName,
    body: TrialCreate,
    service: Service,
    actor: Actor,
    response: Response,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Any text of your own: the same key is the same trial.",
            min_length=1,
            max_length=200,
        ),
    ] = None,
) -> Trial:
    """With measurements it is a finished run; without, it waits for a worker, before proposals."""
    with service.database.write() as session:
        row = studies.get(session, study)
        spec = views.spec(row)
        checks.channel(spec, body.channel)
        checks.stop_at(spec, body.stop_at)
        given = body.mixture
        phases: list[Phase] = []
        if body.schedule is not None:
            given, phases = schedules.of_run(spec, body.schedule)
        mixture = checks.mixture(spec, given)
        checks.measurements(spec, body.measurements)
        if body.measurements:
            checks.is_complete(spec, body.measurements)
        new = trials.NewTrial(
            mixture,
            "attached" if body.measurements else "queued",
            readings=views.readings(body.measurements),
            wall_s=body.wall_s,
            note=body.note,
            tags=body.tags,
            client_key=idempotency_key,
            priority=trials.BY_HAND,
            stop_at=body.stop_at,
            channel=body.channel,
            schedule=[phase.model_dump(mode="json") for phase in phases] or None,
        )
        added, is_new = trials.add(session, row, new, actor)
        proposals.withdraw_surplus(session, row)
        answer = views.trial(trials.get(session, added.id), spec)
    if not is_new:
        response.status_code = 200
    service.proposer.wake()
    return answer


@router.get(
    "/studies/{study}/trials",
    summary="Trials that changed after a revision",
    responses=describe(404),
)
def page(
    study: StudyName,
    service: Service,
    after: Annotated[
        int, Query(description="`after` of the last page; 0 for all.", ge=0, lt=2**63)
    ] = 0,
    limit: Annotated[
        int,
        Query(
            description="Trials a page, at most; those with much to say are fewer.", ge=1, le=PAGE
        ),
    ] = PAGE,
    state: Annotated[TrialState | None, Query(description="Only trials in this state.")] = None,
) -> TrialPage:
    """In order of change, so that asking again with the answer's `after` gives just the news."""
    with service.database.read() as session:
        row = studies.get(session, study)
        spec = views.spec(row)
        rows, has_more = trials.page(session, row, after=after, limit=limit, state=state)
        shown = that_fit(views.trial(trial, spec) for trial in rows)
        return TrialPage(
            trials=shown,
            after=shown[-1].revision if shown else after,
            more=has_more or len(shown) < len(rows),
        )


@router.get(
    "/studies/{study}/trials/{number:int}",
    summary="Read a trial by its number in the study",
    responses=describe(404),
)
def numbered(study: StudyName, number: TrialNumber, service: Service) -> Trial:
    with service.database.read() as session:
        row = trials.get(session, trials.id_of(session, studies.get(session, study), number))
        return views.trial(row, views.spec(row.study))


@router.get("/trials/{trial:int}", summary="Read a trial", responses=describe(404))
def one(trial: TrialId, service: Service) -> Trial:
    with service.database.read() as session:
        row = trials.get(session, trial)
        return views.trial(row, views.spec(row.study))


@router.get("/trials/{trial:int}/curve", summary="Read a learning curve", responses=describe(404))
def curve(
    trial: TrialId,
    service: Service,
    names: Annotated[
        list[MetricName] | None, Query(description="Only these metrics.", max_length=200)
    ] = None,
    max_points: Annotated[
        int, Query(description="Steps at most, evenly spread.", ge=1, le=curves.MAX_POINTS)
    ] = curves.MAX_POINTS,
) -> Curve:
    """What the run's heartbeats said, in order of steps. Of long runs an even selection is kept,
    and of many metrics fewer steps are shown, so that the answer stays below 1 MB."""
    with service.database.read() as session:
        row = trials.get(session, trial)
        return views.curve(row, curves.read(session, row), names, max_points)


@router.patch(
    "/trials/{trial:int}", summary="Change a trial's note or tags", responses=describe(404)
)
def patch(trial: TrialId, body: TrialPatch, service: Service, actor: Actor) -> Trial:
    """In any state. The same again changes nothing."""
    with service.database.write() as session:
        if body.note is not None:
            trials.annotate(session, trial, body.note, actor)
        if body.tags is not None:
            trials.tag(session, trial, body.tags, actor)
        row = trials.get(session, trial)
        return views.trial(row, views.spec(row.study))


@router.post("/trials/{trial:int}/cancel", summary="Call a trial off", responses=describe(404, 409))
def cancel(trial: TrialId, service: Service, actor: Actor) -> Trial:
    """A running one stops at its worker's next heartbeat. Twice is once."""
    with service.database.write() as session:
        steering.cancel(session, trial, actor)
        row = trials.get(session, trial)
        answer = views.trial(row, views.spec(row.study))
    service.proposer.wake()
    return answer


@router.post("/trials/{trial:int}/pause", summary="Pause a trial", responses=describe(404, 409))
def pause(trial: TrialId, service: Service, actor: Actor) -> Trial:
    """A running one pauses at its next evaluation point, with its scores there and a checkpoint to
    go on from. Twice is once."""
    return _ask(trial, "pause", service, actor)


@router.post(
    "/trials/{trial:int}/stop",
    summary="Stop a trial at its next evaluation point",
    responses=describe(404, 409),
)
def stop(trial: TrialId, service: Service, actor: Actor) -> Trial:
    """For good, with its scores until then, which are never taken for those of a whole run. A
    paused one is stopped at once. Twice is once."""
    return _ask(trial, "stop", service, actor)


def _ask(trial: int, action: steering.Ask, service: Service, actor: str) -> Trial:
    with service.database.write() as session:
        steering.ask(session, trial, action, actor, f"{actor} asked to {action} it")
        row = trials.get(session, trial)
        answer = views.trial(row, views.spec(row.study))
    service.proposer.wake()
    return answer


@router.post(
    "/trials/{trial:int}/continue", summary="Continue a paused trial", responses=describe(404, 409)
)
def go_on(
    trial: TrialId, service: Service, actor: Actor, body: TrialContinue | None = None
) -> Trial:
    """It is queued, and whoever takes it goes on from its checkpoint. Twice is once."""
    with service.database.write() as session:
        spec = views.spec(trials.get(session, trial).study)
        stop_at = None if body is None else body.stop_at
        checks.stop_at(spec, stop_at)
        steering.go_on(session, trial, actor, stop_at)
        return views.trial(trials.get(session, trial), spec)


@router.post(
    "/trials/{trial:int}/early-stop",
    summary="End a trial at once, as it stands",
    responses=describe(404, 409),
)
def stop_early(trial: TrialId, service: Service, actor: Actor) -> Trial:
    """Does not wait for an evaluation point, as `stop` does: there must be a score of every
    benchmark that the objective weighs. They are never taken for those of a whole run. Its worker
    stops at the next heartbeat. Twice is once."""
    with service.database.write() as session:
        steering.stop_early(session, trial, actor)
        row = trials.get(session, trial)
        spec = views.spec(row.study)
        answer = views.trial(row, spec)
        absent = checks.unscored(spec, answer.measurements)
        if absent:  # which also undoes the stop
            raise Refused(
                "wrong-state",
                f"{row.called} has no score of {', '.join(absent)} yet, which the "
                f"{checks.needed_by(spec)}; wait for its next scores, or cancel it",
            )
    service.proposer.wake()
    return answer


@router.post(
    "/trials/{trial:int}/retry",
    summary="Queue a failed or cancelled trial again",
    responses=describe(404, 409),
)
def retry(trial: TrialId, service: Service, actor: Actor) -> Trial:
    """With all its attempts. Twice is once."""
    with service.database.write() as session:
        steering.retry(session, trial, actor)
        study = trials.get(session, trial).study
        proposals.withdraw_surplus(session, study, but=(trial,))
        answer = views.trial(trials.get(session, trial), views.spec(study))
    service.proposer.wake()
    return answer
