"""Owners: teams that keys and studies belong to, and the GPU-hours that each may use."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from db import owners, studies
from service.context import Actor, CallerDependency, Service, StudyName
from service.http.guards import by_method, check_operator, route_behind
from service.http.problems import describe
from service.schemas import Name, Owner, OwnerLimit, Owners, Study, StudyOwner
from service.study import views

router = APIRouter(tags=["owners"], route_class=route_behind(by_method))


@router.get("/owners", summary="List owners and what they have used", responses=describe())
def everyone(service: Service) -> Owners:
    """By name: GPU-hours that each may use and has used, and how many studies it has."""
    with service.database.read() as session:
        return Owners(owners=[views.owner(found) for found in owners.usages(session)])


@router.put("/owners/{owner}", summary="Say what an owner may use", responses=describe())
def limit(
    owner: Annotated[Name, Path(description="Name of the owner.")],
    body: OwnerLimit,
    service: Service,
    caller: CallerDependency,
) -> Owner:
    """Makes the owner where there is none of this name. Once its studies have used the hours, none
    of their trials is given out; running ones go on. For keys that belong to no owner."""
    check_operator(caller)
    with service.database.write() as session:
        owners.limit(session, owner, body.gpu_hours)
        answer = views.owner(owners.usage(session, owner))
    service.proposer.wake()
    return answer


@router.put("/studies/{study}/owner", summary="Give a study to an owner", responses=describe(404))
def give(
    study: StudyName, body: StudyOwner, service: Service, actor: Actor, caller: CallerDependency
) -> Study:
    """What it has cost goes with it. Trials that run go on under whoever runs them. For keys that
    belong to no owner."""
    check_operator(caller)
    with service.database.write() as session:
        if body.owner is not None:
            owners.check(session, body.owner)
        row = studies.patch(session, study, actor, owner=body.owner)
        answer = views.study(row, studies.trial_counts(session, [row.id])[row.id])
    service.proposer.wake()
    return answer
