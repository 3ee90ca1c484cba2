"""How often a caller may call: token buckets in this process's memory, so each replica's own."""

from __future__ import annotations

import math
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import problem

REMEMBERED: Final = 10_000
"""Callers; the one silent for longest is forgotten first, and its bucket is full again."""

NEVER_HELD_UP = re.compile(r"^/(healthz|readyz|metrics|trials/\d{1,10}/(heartbeat|result))$")
"""Probes, and calls whose answer decides about a run on a GPU."""


class Buckets:
    """A bucket for each caller: `burst` calls at once, and `per_s` more each second."""

    def __init__(
        self, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, who: str, n: float = 1.0) -> float:
        """Takes n calls; returns 0, or when there are not as many, seconds until there will be.

        With n = 0 nothing is taken: it only says whether the bucket is empty.
        """
        with self._lock:
            now = self._clock()
            left, at = self._left.get(who, (self._burst, now))
            left = min(self._burst, left + (now - at) * self._per_s)
            wait = max(0.0, (max(n, 1.0) - left) / self._per_s)
            if wait == 0:
                left -= n
            self._left[who] = (left, now)
            self._left.move_to_end(who)
            while len(self._left) > REMEMBERED:
                self._left.popitem(last=False)
            return wait


def retry_after(wait_s: float) -> dict[str, str]:
    """The header that tells a caller when to come back."""
    return {"Retry-After": str(max(1, math.ceil(wait_s)))}


class RateLimit:
    """Answers 429 to a key, or without one to an address, that calls too often.

    Args:
        per_s: calls a second on average, twice as many at once; 0 for no limit.
    """

    def __init__(self, app: ASGIApp, per_s: float) -> None:
        self._app = app
        self._per_s = per_s
        self._buckets = Buckets(per_s or 1.0, 2 * per_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._per_s and not NEVER_HELD_UP.match(scope["path"]):
            wait = self._buckets.take(_caller(scope))
            if wait:
                detail = (
                    f"more than {self._per_s:g} calls a second (MODOMODO_CALLS_PER_S); "
                    f"try again in {wait:.2g} s"
                )
                answer = problem(429, "too-many-calls", detail, headers=retry_after(wait))
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _caller(scope: Scope) -> str:
    headers = dict(scope["headers"])
    key: bytes = headers.get(b"authorization", b"")[:300]
    # Hashed by Python's own salted hash: no key lies about in memory for long.
    return f"key {hash(key)}" if key else f"address {(scope['client'] or ('?',))[0]}"
