"""Is the service there, and can it work?"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from service.context import Service
from service.errors import describe

router = APIRouter(tags=["probes"])


class Health(BaseModel):
    status: Literal["ok"] = "ok"


@router.get("/healthz", summary="The process answers")
def healthz() -> Health:
    return Health()


@router.get("/readyz", summary="The database answers too", responses=describe(503))
def readyz(service: Service) -> Health:
    service.database.time()
    return Health()
