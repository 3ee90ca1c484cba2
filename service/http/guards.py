"""Who is let in where: checked before a call's body is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

from anyio import to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from service.errors import Refused
from service.http import plain
from service.http.auth import SCOPES, Caller, Gate, Scope
from service.http.bodies import Call


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


async def _let_in(request: Request, needed: Scope) -> None:
    gate: Gate = request.app.state.context.gate
    sent = request.headers.get("authorization")
    # Most calls need no question, and so no thread that could wait for its answer.
    caller = gate.caller_at_once(sent)
    if caller is None:
        caller = await to_thread.run_sync(gate.caller, sent, address_of(request))
    check_scope(caller, needed)
    request.state.caller = caller


def route_behind(
    check: Callable[[Request], Awaitable[None]], *, is_plain: bool = False
) -> type[APIRoute]:
    """A kind of route that first checks who calls.

    A dependency would come too late: FastAPI reads and parses a body before it looks at them.

    Args:
        is_plain: the route is a coroutine of a small body, the service and at most a trial's id,
            and comes all the time: `service.http.plain` calls it where nothing else is to be done.
    """

    class Guarded(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            answer = super().get_route_handler()
            field = self.body_field
            kind = None if field is None else cast(type[BaseModel], field.field_info.annotation)

            async def answer_if_let_in(request: Request) -> Response:
                await check(request)
                if kind is None:
                    return await answer(request)
                call = Call(request, kind)
                found = await plain.answer(call, kind, self.endpoint) if is_plain else None
                return await answer(call) if found is None else found

            return answer_if_let_in

    return Guarded


async def for_workers(request: Request) -> None:
    """Lets those in who may do what workers do."""
    await _let_in(request, "worker")


async def for_readers(request: Request) -> None:
    """Lets those in who may look."""
    await _let_in(request, "read")


async def by_method(request: Request) -> None:
    """Lets those in who may look, or where something is changed, who may do everything."""
    await _let_in(request, "read" if request.method in ("GET", "HEAD") else "admin")
