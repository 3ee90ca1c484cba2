"""The calls of workers: take a trial, keep it, give its scores or give it back."""

from __future__ import annotations

import secrets

import structlog
from fastapi import APIRouter

from db import clock, leases, studies, trials
from db.curves import Point
from service.context import Service, TrialId
from service.errors import Refused, invalid
from service.http.guards import for_workers, route_behind
from service.http.problems import describe
from service.schemas import (
    Failure,
    Heartbeat,
    HeartbeatAnswer,
    Lease,
    MeasurementsRequest,
    NextAnswer,
    NextRequest,
    Partial,
    Release,
    Result,
    Trial,
)
from service.study import checks, merging, views, waiting

log = structlog.get_logger()

KEPT_IN_PART = "the scores that came were kept with the trial"

router = APIRouter(prefix="/trials", tags=["workers"], route_class=route_behind(for_workers))


@router.post("/next", summary="Lease the next trial", responses=describe(404))
def next_trial(body: NextRequest, service: Service) -> NextAnswer:
    """Never waits for a fit: with nothing queued it says why and when to ask again (and with no
    `retry_after_s`, that nothing more will come by itself). A worker that asks again since the
    answer was lost gets the same trial, under a new token."""
    answer = _lease(body, service)
    if answer.trial is None and (present := _present_name(body, service)) != body.study:
        body = body.model_copy(update={"study": present})
        answer = _lease(body, service)
    if answer.trial is None and _reap(service):
        answer = _lease(body, service)
    service.proposer.wake()
    if answer.trial is not None:
        log.info("leased", study=answer.trial.study, trial=answer.trial.id, worker=body.worker)
    return answer


def _present_name(body: NextRequest, service: Service) -> str | None:
    """What the study is called now that a worker asks for: it may have been renamed since."""
    if body.study is None:
        return None
    with service.database.read() as session:
        return studies.get(session, body.study).name


def _lease(body: NextRequest, service: Service) -> NextAnswer:
    token = secrets.token_urlsafe(32)
    with service.database.write() as session:
        leases.seen(session, body.worker, body.capabilities)
        kept = leases.resume(session, body.worker, body.study, token)
        attempt, can_merge = kept, "merged" in body.channels
        if attempt is None:
            ready = merging.ready(session, body.study) if can_merge else ()
            attempt = leases.claim(session, body.worker, body.study, token, body.gpus, ready)
        if attempt is None:
            reason, retry_after_s = waiting.for_a_trial(
                session, body.study, body.worker, can_merge=can_merge
            )
            answer = NextAnswer(reason=reason, retry_after_s=retry_after_s)
        else:
            spec = views.spec(attempt.trial.study)
            left = attempt.lease_s
            if kept is not None:
                left = min(left, (kept.until - clock.read(session)).total_seconds())
            answer = NextAnswer(
                trial=views.trial(attempt.trial, spec),
                lease=Lease(
                    token=token,
                    until=attempt.until,
                    duration_s=max(0.0, left),
                ),
                recipe=spec.recipe,
                benchmarks=[benchmark.name for benchmark in spec.benchmarks],
                weighed=sorted(spec.needed_benchmarks()),
                merge=merging.job(session, attempt.trial, spec),
                keeps_weights=merging.is_expert(attempt.trial, spec),
                results=attempt.trial.study.results,
            )
    return answer


def _reap(service: Service) -> bool:
    """Ends leases that ran out since the last look, in a transaction of its own: that locks
    studies, after which no further trial may be waited for. Says whether there were any."""
    with service.database.read() as session:
        since = service.watch.since(clock.read(session))
        is_needed = bool(leases.run_out(session, since, limit=1))
    if not is_needed:
        return False
    with service.database.write() as session:
        return bool(leases.reap(session, since))


@router.post("/{trial:int}/heartbeat", summary="Keep the lease", responses=describe(404, 409))
def heartbeat(trial: TrialId, body: Heartbeat, service: Service) -> HeartbeatAnswer:
    """Send one every third of the lease. `cancel` in the answer means: stop the run at once;
    `action` what it is to do at its next evaluation point."""
    with service.database.write() as session:
        pulse = leases.heartbeat(
            session,
            trial,
            body.token,
            step=body.step,
            total_steps=body.total_steps,
            metrics=body.metrics,
            points=[Point(point.step, point.metrics) for point in body.points],
        )
    return HeartbeatAnswer(
        until=pulse.until,
        duration_s=pulse.duration_s,
        cancel=pulse.is_cancelled,
        action=pulse.action,
        reason=pulse.reason,
    )


@router.post(
    "/{trial:int}/measurements", summary="Scores during training", responses=describe(404, 409)
)
def measure(trial: TrialId, body: MeasurementsRequest, service: Service) -> Trial:
    """Scores of a checkpoint. The same again changes nothing."""
    with service.database.write() as session:
        row = trials.with_study(session, trial)
        spec = views.spec(row.study)
        checks.measurements(spec, body.measurements)
        leases.measure(session, trial, body.token, views.readings(body.measurements))
        return views.trial(row, spec)


@router.post("/{trial:int}/result", summary="Finish a trial", responses=describe(404, 409))
def result(trial: TrialId, body: Result, service: Service) -> Trial:
    """The same body again is 200 and changes nothing. Another body, or a lease that is gone, is
    409, and the scores are kept as replicates of the trial. One that lacks a benchmark of the
    objective at its last step is 422, also where an earlier step has one: what it has is kept, and
    the rest is still wanted."""
    absent: list[str] = []
    with service.database.write() as session:
        row = trials.with_study(session, trial)
        spec = views.spec(row.study)
        checks.measurements(spec, body.measurements)
        readings = views.readings(body.measurements)
        if checks.missing(spec, body.measurements):
            earlier = views.trial(trials.get(session, trial), spec).measurements
            absent = checks.missing(spec, body.measurements, earlier)
        if absent:
            refusal = leases.finish_in_part(session, trial, body.token, readings)
        else:
            refusal = leases.finish(
                session,
                trial,
                body.token,
                readings,
                artifacts=body.artifacts,
                wall_s=body.wall_s,
            )
        if refusal is None:
            answer = views.trial(row, spec)
    if refusal is not None:
        raise Refused(refusal.code, refusal.why)
    if absent:
        raise invalid(f"{checks.lacks(spec, absent, body.measurements)}; {KEPT_IN_PART}")
    service.proposer.wake()
    return answer


@router.post(
    "/{trial:int}/partial", summary="End a run before its last step", responses=describe(404, 409)
)
def partial(trial: TrialId, body: Partial, service: Service) -> Trial:
    """At the trial's `stop_at`, or at an evaluation point where a heartbeat's answer asked for it,
    with a checkpoint kept. The trial is paused, or stopped early where that was asked: the answer's
    `state` says which. Nothing is counted against it. Twice is once."""
    with service.database.write() as session:
        row = trials.with_study(session, trial)
        spec = views.spec(row.study)
        checks.measurements(spec, body.measurements)
        readings = views.readings(body.measurements)
        leases.leave(session, trial, body.token, body.step, readings)
        answer = views.trial(row, spec)
    service.proposer.wake()
    return answer


@router.post("/{trial:int}/failure", summary="Give an attempt up", responses=describe(404, 409))
def failure(trial: TrialId, body: Failure, service: Service) -> Trial:
    """A retryable one is queued again while attempts are left. Twice is once."""
    with service.database.write() as session:
        leases.fail(session, trial, body.token, body.error, is_retryable=body.retryable)
        row = trials.get(session, trial)
        answer = views.trial(row, views.spec(row.study))
    service.proposer.wake()
    return answer


@router.post("/{trial:int}/release", summary="Hand a trial back", responses=describe(404, 409))
def release(trial: TrialId, body: Release, service: Service) -> Trial:
    """On shutdown or preemption: nothing is counted against the trial. Twice is once. With cause
    `environment` (no data, no GPU, no room where the worker is) another worker is asked first; what
    comes back again and again rests before it is given away once more."""
    is_unfit = body.cause == "environment"
    with service.database.write() as session:
        leases.release(session, trial, body.token, body.reason, is_unfit=is_unfit)
        row = trials.get(session, trial)
        return views.trial(row, views.spec(row.study))
