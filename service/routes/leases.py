"""The calls of workers: take a trial, keep it, give its scores or give it back."""

from __future__ import annotations

import secrets

import structlog
from anyio import to_thread
from fastapi import APIRouter
from sqlalchemy.orm import Session

from db import clock, leases, models, sharing, studies, trials
from db.curves import Point
from db.sharing import Ability
from service.context import CallerOwner, Context, Service, TrialId
from service.errors import Refused, invalid
from service.http.guards import check_serves, for_workers, route_behind
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
    StudySpec,
    Trial,
)
from service.study import checks, merge_readiness, views, waiting

log = structlog.get_logger()

KEPT_IN_PART = "the scores that came were kept with the trial"

router = APIRouter(prefix="/trials", tags=["workers"], route_class=route_behind(for_workers))
busy = APIRouter(prefix="/trials", tags=["workers"], route_class=route_behind(for_workers))
"""Calls that come all the time, of every worker: `service.http.busy` answers most of them."""


@busy.post("/next", summary="Lease the next trial", responses=describe(404))
async def next_trial(body: NextRequest, service: Service, owner: CallerOwner = None) -> NextAnswer:
    """Never waits for a fit: with nothing queued it says why and when to ask again (and with no
    `retry_after_s`, that nothing more will come by itself). A worker that asks again since the
    answer was lost gets the same trial, under a new token. A key that belongs to an owner is given
    trials of that one's studies."""
    answer = await service.writer.run(leased, body, owner)
    if answer is None and await to_thread.run_sync(_reap, service):
        answer = await service.writer.run(leased, body, owner)
    if answer is None:
        answer = await to_thread.run_sync(_nothing, body, service, owner)
    service.proposer.wake()
    if answer.lease is not None:
        answer.lease.heartbeat_s = service.pace.heartbeat_s(answer.lease.duration_s)
    if answer.trial is not None:
        log.info("leased", study=answer.trial.study, trial=answer.trial.id, worker=body.worker)
    return answer


def leased(session: Session, body: NextRequest, owner: str | None = None) -> NextAnswer | None:
    """The trial that a worker is given; None where there is none for it now.

    Args:
        owner: whose studies alone it serves; None for all.
    """
    token = secrets.token_urlsafe(32)
    can_merge = "merged" in body.channels
    leases.seen(session, body.worker, body.capabilities)
    ability, turns = Ability.of(body.gpus, body.capabilities), []
    given = None
    if body.study is not None and owner is None:
        given = leases.claim_unheld(
            session,
            body.worker,
            body.study,
            token,
            body.gpus,
            can_merge=can_merge,
            ability=ability,
        )
    if given is None:
        turns = sharing.turns(session, body.study, ability, owner)
        if turns:
            given = leases.claim_unheld(
                session, body.worker, turns[0], token, body.gpus, can_merge=can_merge
            )
    if given is not None:
        spec = views.stored_spec(given.spec)
        lease = Lease(token=token, until=given.attempt.until, duration_s=given.attempt.lease_s)
        return _given(given.trial, lease, spec, views.first_name(given.spec), given.results)
    attempt = kept = leases.resume(session, body.worker, body.study, token, owner)
    if attempt is None:
        ready = merge_readiness.ready(session, body.study) if can_merge else ()
        claims = (
            leases.claim(session, body.worker, study, token, body.gpus, ready) for study in turns
        )
        attempt = next((claimed for claimed in claims if claimed is not None), None)
    if attempt is None:
        return _under_its_present_name(session, body, owner)
    left = attempt.lease_s
    if kept is not None:
        left = min(left, (kept.until - clock.read(session)).total_seconds())
    lease = Lease(token=token, until=attempt.until, duration_s=max(0.0, left))
    study, spec = attempt.trial.study, views.spec(attempt.trial.study)
    answer = _given(attempt.trial, lease, spec, study.spec["name"], study.results)
    answer.merge = merge_readiness.job(session, attempt.trial, spec)
    return answer


def _under_its_present_name(
    session: Session, body: NextRequest, owner: str | None
) -> NextAnswer | None:
    """Asks again where the study that a worker asks for was renamed since."""
    present = None if body.study is None else studies.get(session, body.study).name
    if present == body.study:
        return None
    return leased(session, body.model_copy(update={"study": present}), owner)


def _given(
    row: models.Trial, lease: Lease, spec: StudySpec, first_name: str, results: int
) -> NextAnswer:
    """The answer to a worker that was given a trial.

    Args:
        first_name: what its study was called when it was made.
        results: of its study.
    """
    return NextAnswer(
        trial=views.trial(row, spec),
        lease=lease,
        recipe=spec.recipe,
        benchmarks=[benchmark.name for benchmark in spec.benchmarks],
        weighed=sorted(spec.needed_benchmarks()),
        keeps_weights=merge_readiness.is_expert(row, spec),
        files_of=first_name,
        results=results,
    )


def _nothing(body: NextRequest, service: Context, owner: str | None) -> NextAnswer:
    with service.database.read() as session:
        reason, retry_after_s = waiting.for_a_trial(
            session,
            body.study,
            body.worker,
            can_merge="merged" in body.channels,
            ability=Ability.of(body.gpus, body.capabilities),
            owner=owner,
        )
    return NextAnswer(reason=reason, retry_after_s=retry_after_s)


def _reap(service: Context) -> bool:
    """Ends leases that ran out since the last look, in a transaction of its own: that locks
    studies, after which no further trial may be waited for. Says whether there were any."""
    with service.database.read() as session:
        since = service.watch.since(clock.read(session))
        is_needed = bool(leases.run_out(session, since, limit=1))
    if not is_needed:
        return False
    with service.database.write() as session:
        return bool(leases.reap(session, since))


@busy.post("/{trial:int}/heartbeat", summary="Keep the lease", responses=describe(404, 409))
async def heartbeat(trial: TrialId, body: Heartbeat, service: Service) -> HeartbeatAnswer:
    """Send the next one after `heartbeat_s` of the answer. `cancel` in it means: stop the run at
    once; `action` what it is to do at its next evaluation point."""
    pulse = await service.writer.run(
        leases.heartbeat,
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
        heartbeat_s=service.pace.heartbeat_s(pulse.duration_s),
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
        answer = views.trial(row, spec)
    if spec.search.early_stopping:
        service.proposer.wake()
    return answer


@busy.post("/{trial:int}/result", summary="Finish a trial", responses=describe(404, 409))
async def result(
    trial: TrialId, body: Result, service: Service, owner: CallerOwner = None
) -> Trial:
    """The same body again is 200 and changes nothing. Another body, or a lease that is gone, is
    409, and the scores are kept as replicates of the trial. One that lacks a benchmark of the
    objective at its last step is 422, also where an earlier step has one: what it has is kept, and
    the rest is still wanted."""
    answer = await service.writer.run(finished, trial, body, owner)
    if isinstance(answer, Refused):
        raise answer
    service.proposer.wake()
    return answer


def finished(
    session: Session, trial_id: int, body: Result, owner: str | None = None
) -> Trial | Refused:
    """A refusal is returned, since the scores are kept all the same.

    Args:
        owner: whose studies alone the caller serves; None for all. A trial that it was given is
            still its own when the study is not.
    """
    run = leases.held(session, trial_id, body.token)
    if run is not None:
        spec = views.stored_spec(run.spec)
    else:
        study = trials.with_study(session, trial_id).study
        if owner is not None and not leases.was_given(session, trial_id, body.token):
            check_serves(owner, study.name, study.owner)
        spec = views.spec(study)
    checks.measurements(spec, body.measurements)
    readings = views.readings(body.measurements)
    absent = checks.missing(spec, body.measurements)
    if absent:
        earlier = views.trial(trials.get(session, trial_id), spec).measurements
        absent = checks.missing(spec, body.measurements, earlier)
    if absent:
        refusal = leases.finish_in_part(session, trial_id, body.token, readings)
    else:
        refusal = leases.finish(
            session,
            trial_id,
            body.token,
            readings,
            artifacts=body.artifacts,
            wall_s=body.wall_s,
            run=run,
        )
    if refusal is not None:
        return Refused(refusal.code, refusal.why)
    if absent:
        return invalid(f"{checks.lacks(spec, absent, body.measurements)}; {KEPT_IN_PART}")
    known = None if run is None else run.trial
    return views.trial(known or trials.get(session, trial_id), spec)


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
