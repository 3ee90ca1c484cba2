"""The calls of whoever starts workers: how much work there is, who is at it, and who is gone."""

from __future__ import annotations

import math
import sys
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Path, Query

from db import leases, workers
from db.sharing import Ability
from service.context import Actor, CallerDependency, CallerOwner, Service, StudyName
from service.http.guards import by_method, check_owner, route_behind
from service.http.problems import describe
from service.schemas import Demand, Gone, Worker, WorkerPage, WorkerSeen
from service.study import demand

PAGE = 100
"""Workers a page: what each says of itself may be long."""

log = structlog.get_logger()

router = APIRouter(tags=["fleets"], route_class=route_behind(by_method))


async def _ability(
    gpus: Annotated[
        int | None, Query(description="That a worker has for a trial.", ge=1, le=100_000)
    ] = None,
    gpu_memory_gb: Annotated[
        float | None, Query(description="Of its smallest GPU.", gt=0.0, le=1e6)
    ] = None,
    label: Annotated[
        list[Annotated[str, Query(pattern="^[^=]+=.+$", max_length=201)]] | None,
        Query(
            description="All labels that it has, as pool=a100; may be given again.", max_length=32
        ),
    ] = None,
) -> Ability | None:
    """What the workers have that a call is about; whatever is left out is enough."""
    if gpus is None and gpu_memory_gb is None and label is None:
        return None
    labels = None if label is None else dict(text.split("=", 1) for text in label)
    return Ability(gpus or sys.maxsize, gpu_memory_gb or math.inf, labels)


WorkersHave = Annotated[Ability | None, Depends(_ability)]


@router.get("/demand", summary="How much work there is", responses=describe())
def demand_of_all(service: Service, owner: CallerOwner, ability: WorkersHave) -> Demand:
    """Of all studies: what workers with this key, asking for any, could begin now. Of what is said
    of them, studies that require more do not count."""
    with service.database.read() as session:
        return demand.read(session, None, owner, ability)


@router.get("/studies/{study}/demand", summary="How much work a study has", responses=describe(404))
def demand_of_one(
    study: StudyName, service: Service, owner: CallerOwner, ability: WorkersHave
) -> Demand:
    """What workers with this key could begin now, by the rules of `POST /trials/next`: not what the
    budget has left, of which a strategy may propose more only once scores come. Nothing where the
    study requires more than what is said of them."""
    with service.database.read() as session:
        return demand.read(session, study, owner, ability)


@router.get("/workers", summary="Who is at work", responses=describe())
def page(
    service: Service,
    starts_with: Annotated[
        str, Query(description="Only names that begin so.", max_length=200)
    ] = "",
    after: Annotated[str, Query(description="Only names after this one.", max_length=200)] = "",
) -> WorkerPage:
    """Workers that hold a trial or have asked for one in the last two minutes, by name; `after` the
    last of them, there may be more."""
    with service.database.read() as session:
        rows = workers.seen(session, starts_with=starts_with, beyond=after, limit=PAGE + 1)
    shown = [
        WorkerSeen(
            name=row.name,
            capabilities=row.capabilities,
            asked_at=row.asked_at,
            heard_at=row.heard_at,
            study=row.study,
            trial=row.trial,
            gpus=row.gpus or 0,
            held_s=max(0.0, row.held_s or 0.0),
            step=row.step,
            total_steps=row.total_steps,
        )
        for row in rows[:PAGE]
    ]
    return WorkerPage(workers=shown, more=len(rows) > PAGE)


@router.post(
    "/workers/{worker:path}/gone", summary="A worker's machine is dead", responses=describe(404)
)
def gone(
    worker: Annotated[Worker, Path(description="Name of the worker.")],
    service: Service,
    actor: Actor,
    caller: CallerDependency,
) -> Gone:
    """For engines, which know of a node's end before its leases run out: the worker's attempts end
    at once and nothing is counted against their trials. Not for a worker that only died: whatever
    it ran may have killed it, so its lease runs out and counts. Twice is once."""
    with service.database.write() as session:
        for study, owner in workers.holds_of(session, worker):
            check_owner(caller, study, owner)
        freed = leases.gone(session, worker, actor)
    if freed:
        log.info("worker gone", worker=worker, trials=freed)
        service.proposer.wake()
    return Gone(trials=freed)
