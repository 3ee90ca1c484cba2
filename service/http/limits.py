"""How much and how often a caller may call, and under which name the service may be called."""

from __future__ import annotations

import re

from anyio import to_thread
from fastapi import FastAPI, HTTPException
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.auth import Gate
from service.http.problems import problem
from service.http.rates import Buckets, retry_after
from service.settings import is_loopback

PROBES = re.compile(r"^/(healthz|readyz|metrics)$")
"""Asked every few seconds by machines; never held up."""

ABOUT_A_RUN = re.compile(r"^/(heartbeats|trials/\d{1,10}/(heartbeat|result|partial))$")
"""What decides about a run on a GPU; not held up either, of those who may call it."""


KIB = 1024
FEW_KIB = 64 * KIB
"""What calls take that are not in the list below: tokens, numbers, notes of 4,000 characters."""

BODIES = (
    (re.compile(r"^/ui/sign-(in|out)/?$"), 16 * KIB),  # of anyone, without a key
    (re.compile(r"^/ui/(new|studies/[^/]+/change)/?$"), 256 * KIB),
    (re.compile(r"^/studies/?$"), 2048 * KIB),
    (re.compile(r"^/studies/[^/]+(/clone)?/?$"), 1024 * KIB),
    (re.compile(r"^/studies/[^/]+/trials/?$"), 1024 * KIB),
    (re.compile(r"^(/ui)?/studies/[^/]+/trials/import/?$"), 8192 * KIB),
    (re.compile(r"^/trials/[^/]+/(measurements|result|partial)/?$"), 2048 * KIB),
    (re.compile(r"^/(heartbeats|trials/[^/]+/heartbeat)/?$"), 4096 * KIB),
    (re.compile(r"^/studies/[^/]+/surrogates/[^/]+/predict/?$"), 4096 * KIB),
)
"""The most that a body may have, by address: enough for what the fields of the call may hold."""


def most_bytes(path: str, max_bytes: int) -> int:
    """The largest body of a call, of `max_bytes` for any."""
    own = next((size for pattern, size in BODIES if pattern.match(path)), FEW_KIB)
    return min(own, max_bytes)


class BodyLimit:
    """Answers 413 to bodies that are larger than the call takes, declared or not.

    Args:
        max_bytes: the most that any call takes.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = most_bytes(scope["path"], self._max_bytes)
        detail = f"more than {most} bytes came, the most of this call; send less at once"
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and (len(declared) > 15 or int(declared) > most):
            await problem("body-too-large", detail)(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise HTTPException(413, detail)
            return message

        await self._app(scope, counted, send)


class RateLimit:
    """Answers 429 to a key, or without one that is known to an address, that calls too often.

    Args:
        per_s: calls a second on average, twice as many at once; 0 for no limit.
    """

    def __init__(self, app: ASGIApp, per_s: float) -> None:
        self._app = app
        self._per_s = per_s
        self._buckets = Buckets(per_s or 1.0, max(1.0, 2 * per_s))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._per_s and not PROBES.match(scope["path"]):
            wait = self._wait(scope)
            if wait:
                detail = (
                    f"more than {self._per_s:g} calls a second (MODOMODO_CALLS_PER_S); "
                    f"try again in {wait:.2g} s"
                )
                await problem("too-many-calls", detail, headers=retry_after(wait))(
                    scope, receive, send
                )
                return
        await self._app(scope, receive, send)

    def _wait(self, scope: Scope) -> float:
        """Seconds until the caller may call, by the bucket that its call is taken from.

        Only a key that was found valid has one of its own: else whoever makes up a new one for
        every call would never be held up.
        """
        gate: Gate = scope["app"].state.context.gate
        sent = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        known = gate.remembered(sent)
        may_work = gate.is_open_at_once() if known is None else known[1] != "read"
        if may_work and ABOUT_A_RUN.match(scope["path"]):
            return 0.0
        address = (scope["client"] or ("?",))[0]
        return self._buckets.take(f"address {address}" if known is None else f"key {known[0]}")


class LocalNames:
    """Answers 403 to calls under another name than this machine's own, or by a page from elsewhere.

    A service without a key trusts whoever reaches it on loopback. A web page could do so from the
    user's browser: by letting its own name point here (DNS rebinding), which the name gives away,
    or by sending a form here (cross-site request forgery), which its origin gives away: it is not
    that of this service's own pages, also when it is of another port of this machine.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _foreign_name(scope) if scope["type"] == "http" else None
        if refusal is not None and await to_thread.run_sync(_is_open, scope["app"]):
            await problem(*refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _foreign_name(scope: Scope) -> tuple[str, str] | None:
    """Code and detail of what is wrong with the name or origin of a call to an open service."""
    headers = dict(scope["headers"])
    named = headers.get(b"host", b"").decode("latin-1")
    if not is_loopback(_without_port(named)):
        return "host-refused", (
            f"a service without an API key is called as localhost, not {named!r}; "
            "set MODOMODO_API_KEY to reach it under other names"
        )
    origin = headers.get(b"origin", b"").decode("latin-1")
    if origin and _origin(origin) != _origin(f"{scope['scheme']}://{named}"):
        return "origin-refused", (
            f"a service without an API key takes no calls from pages of {origin!r}, only from its "
            f"own at '{scope['scheme']}://{named}'"
        )
    return None


def _is_open(app: FastAPI) -> bool:
    try:
        gate: Gate = app.state.context.gate
        return gate.is_open()
    except SQLAlchemyError:
        return True  # not known: the stricter of the two


def _origin(text: str) -> tuple[str, str, str]:
    """Scheme, host and port, as two ways to write one origin have them in common."""
    scheme, _, place = text.lower().partition("://")
    host = _without_port(place)
    port = place.rpartition("]")[2].partition(":")[2] or {"http": "80", "https": "443"}.get(scheme)
    return scheme, host, port or ""


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
