"""How much a caller may send, and under which name the service may be called."""

from __future__ import annotations

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import problem
from service.settings import is_loopback


class BodyLimit:
    """Answers 413 to bodies of more than `max_bytes`, declared or not."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        detail = f"the body has more than {self._max_bytes} bytes; send less at once"
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self._max_bytes:
            await problem(413, "body-too-large", detail)(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_bytes:
                raise HTTPException(413, detail)
            return message

        await self._app(scope, counted, send)


class LocalNames:
    """Answers 403 to calls under another name than this machine's own, or by a page from elsewhere.

    A service without a key trusts whoever reaches it on loopback. A web page could do so from the
    user's browser: by letting its own name point here (DNS rebinding), which the name gives away,
    or by sending a form here (cross-site request forgery), which its origin gives away.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            named = headers.get(b"host", b"").decode("latin-1")
            if not is_loopback(_without_port(named)):
                detail = (
                    f"a service without an API key is called as localhost, not {named!r}; "
                    "set MODOMODO_API_KEY to reach it under other names"
                )
                await problem(403, "host-refused", detail)(scope, receive, send)
                return
            origin = headers.get(b"origin", b"").decode("latin-1")
            if origin and not is_loopback(_without_port(origin.partition("://")[2])):
                detail = f"a service without an API key takes no calls from pages of {origin!r}"
                await problem(403, "origin-refused", detail)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
