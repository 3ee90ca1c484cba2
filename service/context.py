"""What the routes work with: one object made when the app starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Request

from db.sessions import Database
from db.writer import Writer
from service.fitting.fits import Fits
from service.http.auth import Caller, Gate
from service.metrics import Metrics
from service.pace import Pace
from service.presets import Presets
from service.proposing.proposer import Proposer
from service.proposing.upkeep import Watch
from service.schemas import Name
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """The running service."""

    settings: Settings
    database: Database
    writer: Writer
    gate: Gate
    proposer: Proposer
    fits: Fits
    watch: Watch
    pace: Pace
    metrics: Metrics
    presets: Presets


# These only look things up, so they need no thread of their own.
async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Service = Annotated[Context, Depends(_context)]
StudyName = Annotated[Name, Path(description="Name of the study.")]
TrialId = Annotated[int, Path(description="Id of the trial.", ge=1, lt=2**31)]
TrialNumber = Annotated[int, Path(description="Number of the trial in its study.", ge=1, lt=2**31)]


async def _actor(request: Request) -> str:
    name: str = request.state.caller.name
    return name


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


async def _owner(request: Request) -> str | None:
    owner: str | None = request.state.caller.owner
    return owner


CallerDependency = Annotated[Caller, Depends(_caller)]
CallerOwner = Annotated[str | None, Depends(_owner)]
"""The owner that the key belongs to; None where it belongs to none."""

Actor = Annotated[str, Depends(_actor)]
"""Who changes things by hand: `user`, or `user` and the name of the key."""
