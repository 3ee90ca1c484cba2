"""Every call is timed, logged, known by an id, and answered."""

from __future__ import annotations

import asyncio
import re
import secrets
from time import perf_counter
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import stopping
from service.http.problems import answer, problem
from service.metrics import Metrics

log = structlog.get_logger()

OWN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""A caller's `X-Request-Id` that is taken over."""

STUDY = re.compile(r"^/(?:ui/)?studies/([A-Za-z0-9_.-]{1,64})(?:/|$)")
TRIAL = re.compile(r"^/trials/(\d{1,10})(?:/|$)")
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines: timed, not logged."""

UNENDING = frozenset({"/ui/events"})
"""Streams that last as long as a page is open: how long says nothing."""


class Requests:
    """Binds request, study and trial to every log line of a call, says how it ended, and answers
    where the app failed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status: int | None = None
        began = perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        with structlog.contextvars.bound_contextvars(request=request_id, **_named(scope["path"])):
            try:
                await self._app(scope, receive, noting)
            except asyncio.CancelledError:
                if not scope["app"].state.is_stopping:
                    raise
                # The server has waited long enough for this call.
                log.warning("call cut off, the service stops", path=scope["path"])
                if status is None:
                    await answer(stopping())(scope, receive, noting)
            except Exception:
                log.exception("fault", path=scope["path"])
                if status is not None:
                    raise
                why = f"a fault of the service; its log has the cause, by request {request_id}"
                await problem("internal-error", why)(scope, receive, noting)
            finally:
                took = perf_counter() - began
                route, ended = _route(scope), status or 500
                metrics: Metrics = scope["app"].state.context.metrics
                if route not in UNENDING:
                    metrics.requests.labels(scope["method"], route, str(ended)).observe(took)
                if route not in QUIET | UNENDING:
                    log.info(
                        "request",
                        method=scope["method"],
                        route=route,
                        status=ended,
                        ms=round(1000 * took, 1),
                    )


def _request_id(scope: Scope) -> str:
    given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    return given if OWN_ID.fullmatch(given) else secrets.token_hex(8)


def _named(path: str) -> dict[str, Any]:
    """The study or trial that an address names."""
    if found := STUDY.match(path):
        return {"study": found[1]}
    if found := TRIAL.match(path):
        return {"trial": int(found[1])}
    return {}


def _route(scope: Scope) -> str:
    """The address with its names left open, so that there are only so many of them."""
    path: str = getattr(scope.get("route"), "path_format", "")
    return path or "unknown"
