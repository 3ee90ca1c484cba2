"""Who is let in where: checked before a call's body is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

from anyio import to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from db import studies, trials
from db.keys import NAME
from service.errors import Refused
from service.http.auth import SCOPES, Caller, Gate, Scope
from service.http.bodies import Call
from service.http.plain import MOST_ID


def address_of(request: Request) -> str:
    """Where a call comes from."""
    return "unknown" if request.client is None else request.client.host


def check_scope(caller: Caller, needed: Scope) -> None:
    """Lets a call pass.

    Raises:
        Refused: the key's scope does not allow it.
    """
    if SCOPES.index(caller.scope) < SCOPES.index(needed):
        raise Refused(
            "scope-needed",
            f"this call needs a key of scope {needed!r}; yours is of scope {caller.scope!r}",
        )


def check_owner(caller: Caller, study: str, owner: str | None) -> None:
    """Lets a call pass that changes a study, or one of its trials.

    Args:
        owner: of the study.

    Raises:
        Refused: the key belongs to another owner.
    """
    check_serves(caller.owner, study, owner)


def check_serves(serves: str | None, study: str, owner: str | None) -> None:
    """The same of a key that belongs to the owner `serves`; None for one that belongs to none.

    Raises:
        Refused: the study is another's.
    """
    if serves not in (None, owner):
        whose = "no owner" if owner is None else f"owner {owner!r}"
        raise Refused(
            "not-owner",
            f"study {study!r} belongs to {whose}, and your key to owner {serves!r}: it may "
            "change that one's studies and their trials",
        )


def check_operator(caller: Caller) -> None:
    """Lets a call pass that is about owners themselves.

    Raises:
        Refused: the key belongs to an owner.
    """
    if caller.owner is not None:
        raise Refused(
            "not-owner",
            f"this call needs a key that belongs to no owner; yours belongs to {caller.owner!r}",
        )


def check_change(request: Request, caller: Caller) -> None:
    """Lets a call pass whose address names no study or trial, or one that the caller may change.

    Raises:
        Refused: the study is not of the key's owner.
        StudyNotFound: there is no such study.
        TrialNotFound: there is no such trial.
    """
    if caller.owner is None:
        return
    study, trial = (request.path_params.get(name) for name in ("study", "trial"))
    with request.app.state.context.database.read() as session:
        if isinstance(study, str) and NAME.fullmatch(study):
            row = studies.get(session, study)
        elif isinstance(trial, int) and 1 <= trial <= MOST_ID:
            row = trials.with_study(session, trial).study
        else:
            return  # nothing there could be changed
        name, owner = row.name, row.owner
    check_owner(caller, name, owner)


async def _let_in(request: Request, needed: Scope) -> None:
    gate: Gate = request.app.state.context.gate
    sent = request.headers.get("authorization")
    # Most calls need no question, and so no thread that could wait for its answer.
    caller = gate.caller_at_once(sent)
    if caller is None:
        caller = await to_thread.run_sync(gate.caller, sent, address_of(request))
    elif gate.is_to_renew(sent):
        with suppress(SQLAlchemyError):  # it is known for a while yet, and others ask again
            await to_thread.run_sync(gate.renew, sent)
    check_scope(caller, needed)
    request.state.caller = caller


def route_behind(check: Callable[[Request], Awaitable[None]]) -> type[APIRoute]:
    """A kind of route that first checks who calls.

    A dependency would come too late: FastAPI reads and parses a body before it looks at them.
    """

    class Guarded(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            answer = super().get_route_handler()
            field = self.body_field
            kind = None if field is None else cast(type[BaseModel], field.field_info.annotation)

            async def answer_if_let_in(request: Request) -> Response:
                await check(request)
                return await answer(request if kind is None else Call(request, kind))

            return answer_if_let_in

    return Guarded


async def for_workers(request: Request) -> None:
    """Lets those in who may do what workers do."""
    await _let_in(request, "worker")


async def for_readers(request: Request) -> None:
    """Lets those in who may look."""
    await _let_in(request, "read")


async def by_method(request: Request) -> None:
    """Lets those in who may look, or where something is changed, who may change that."""
    if request.method in ("GET", "HEAD"):
        await _let_in(request, "read")
        return
    await for_admins(request)
    caller: Caller = request.state.caller
    if caller.owner is not None:
        await to_thread.run_sync(check_change, request, caller)


async def for_admins(request: Request) -> None:
    """Lets those in who may make something new, whatever it is like."""
    await _let_in(request, "admin")
