"""Heartbeats of several trials in one call: a machine with many GPUs may hold as many trials."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from db.errors import StorageError
from service.context import Context, Service
from service.http.guards import for_workers, route_behind
from service.http.problems import STATUS, describe
from service.routes.leases import heartbeat
from service.schemas import (
    BeatOutcome,
    HeartbeatsAnswer,
    HeartbeatsRequest,
    TrialHeartbeat,
)

router = APIRouter(tags=["workers"], route_class=route_behind(for_workers))


@router.post("/heartbeats", summary="Keep several leases", responses=describe())
async def heartbeats(body: HeartbeatsRequest, service: Service) -> HeartbeatsAnswer:
    """As `POST /trials/{trial}/heartbeat` for each, in the order in which they came. One that is
    refused says why, and holds up no other."""
    outcomes = await asyncio.gather(*(_outcome(beat, service) for beat in body.beats))
    return HeartbeatsAnswer(beats=outcomes)


async def _outcome(beat: TrialHeartbeat, service: Context) -> BeatOutcome:
    try:
        return BeatOutcome(trial=beat.trial, answer=await heartbeat(beat.trial, beat, service))
    except StorageError as error:
        return BeatOutcome(
            trial=beat.trial,
            status=STATUS.get(error.code, 500),
            code=error.code,
            detail=str(error),
        )
