"""Is the service there, and can it work?"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from db import proposers
from service.context import Service
from service.http.guards import for_readers
from service.http.problems import describe

router = APIRouter(tags=["probes"])


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class Readiness(Health):
    proposing: str = Field("ok", description="`ok`, or for how many studies strategies fail.")


@router.get("/healthz", summary="The process answers")
async def healthz() -> Health:
    # Without a thread, which it might have to wait for.
    return Health()


@router.get("/readyz", summary="The database answers too", responses=describe(503))
def readyz(service: Service) -> Readiness:
    """200 also while strategies fail: workers then get seeds and random mixtures."""
    with service.database.read() as session:
        n = proposers.failing(session)
    if n == 0:
        return Readiness()
    return Readiness(proposing=f"failing for {n} {'study' if n == 1 else 'studies'}")


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    dependencies=[Depends(for_readers)],
    response_class=Response,
    responses={
        200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}},
        **describe(),
    },
)
def metrics(service: Service) -> Response:
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)
