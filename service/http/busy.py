"""Calls that come all the time, answered before FastAPI looks for who is to answer them.

Its way from an address to a coroutine (routes, exit stacks, handlers of errors, parameters) takes
longer than the call itself. A call that is not as nearly always is left to it.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import cast

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http import plain
from service.http.guards import for_workers

LONGEST_ID = 10
"""Digits of a trial's id."""


class _Busy:
    """A route of POST for workers: a coroutine of a small body, the service and at most a trial's
    id and the key's owner."""

    def __init__(self, route: APIRoute) -> None:
        self.route = route
        field = route.body_field
        if field is None or route.methods != {"POST"}:
            raise ValueError(f"{route.path} takes no body")
        self.kind = cast(type[BaseModel], field.field_info.annotation)
        self.asks_whose = "owner" in inspect.signature(route.endpoint).parameters


class BusyCalls:
    """Answers the calls of some routes, which are those of workers.

    Args:
        routes: also the app's, which is asked where there is more to say.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._busy = [_Busy(route) for route in routes if isinstance(route, APIRoute)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        busy = self._find(scope)
        if busy is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            answer = await _answer(request, busy)
        except Exception as error:
            handlers = scope["app"].exception_handlers
            kinds: list[int | type] = [*type(error).__mro__]
            if isinstance(error, HTTPException):
                kinds = [error.status_code, *kinds]
            handler = next((handlers[kind] for kind in kinds if kind in handlers), None)
            if handler is None:
                raise
            answer = await handler(request, error)
        if answer is None:
            await self._app(scope, _again(await request.body(), receive), send)
            return
        await answer(scope, receive, send)

    def _find(self, scope: Scope) -> _Busy | None:
        """The route of a call, which is noted; None where there is none here."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope.get("root_path"):
            return None
        for busy in self._busy:
            found = busy.route.path_regex.match(scope["path"])
            if found is None:
                continue
            named = found.groupdict()
            if any(len(digits) > LONGEST_ID for digits in named.values()):
                return None
            scope["path_params"] = {name: int(digits) for name, digits in named.items()}
            scope["route"] = busy.route
            return busy
        return None


async def _answer(request: Request, busy: _Busy) -> Response | None:
    await for_workers(request)
    more = {"owner": request.state.caller.owner} if busy.asks_whose else {}
    return await plain.answer(request, busy.kind, busy.route.endpoint, more)


def _again(body: bytes, receive: Receive) -> Receive:
    """What is received of a call whose body was read before."""
    is_sent = False

    async def first_the_body() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return first_the_body
