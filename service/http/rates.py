"""How often a caller may call: token buckets in this process's memory, so each replica's own."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

REMEMBERED: Final = 10_000
"""Callers; the one silent for longest is forgotten first, and its bucket is full again."""


class Buckets:
    """A bucket for each caller: `burst` calls at once, and `per_s` more each second."""

    def __init__(
        self,
        per_s: float,
        burst: float,
        clock: Callable[[], float] = time.monotonic,
        remembered: int = REMEMBERED,
    ) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._remembered = remembered
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
            while len(self._left) > self._remembered:
                self._left.popitem(last=False)
            return wait


def retry_after(wait_s: float) -> dict[str, str]:
    """The header that tells a caller when to come back."""
    return {"Retry-After": str(max(1, math.ceil(wait_s)))}
