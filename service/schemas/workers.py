"""Workers as whoever starts them sees them: how much there is to do, and who is at it."""

from __future__ import annotations

from datetime import datetime

from pydantic import JsonValue

from service.schemas.values import Body, Name


class Demand(Body):
    """Answer of `GET /demand` and `GET /studies/{study}/demand`: how much work there is."""

    claimable: int
    """Trials that `POST /trials/next` would give away now, one after the other."""
    running: int
    """Trials that workers hold."""
    paused: int
    """Trials that wait until someone continues them."""
    left: int
    """Trials whose results may still come: those under way, and those not proposed yet."""
    retry_after_s: float | None
    """When more may be claimable: 0 where some are; None where nothing more comes by itself."""
    reason: str | None = None
    """Why none is claimable."""


class WorkerSeen(Body):
    """A worker that holds a trial, or has asked for one lately."""

    name: str
    capabilities: dict[str, JsonValue]
    asked_at: datetime
    """Last time it asked for a trial."""
    heard_at: datetime | None = None
    """Last sign of life under its lease; None where it holds none, or has not used it yet."""
    study: Name | None = None
    trial: int | None = None
    """Number, in its study, of the trial that it holds; None where it waits."""
    gpus: int = 0
    """That its trial runs on."""
    held_s: float = 0.0
    """Since when it holds it."""
    step: int | None = None
    total_steps: int | None = None


class WorkerPage(Body):
    workers: list[WorkerSeen]
    more: bool = False
    """Pass the last one's name as `?after=` to get the next."""


class Gone(Body):
    """Answer of `POST /workers/{worker}/gone`."""

    trials: list[int]
    """Ids of the trials that it held, which are queued again."""
