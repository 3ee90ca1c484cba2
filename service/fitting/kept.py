"""What was computed last, in memory: the first to ask computes it while others wait."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from service.errors import Refused
from service.fitting.records import Made, R

T = TypeVar("T")

KEPT = 64
"""Fits of a kind kept in memory; the one unused for longest goes first."""

FAILURE_KEPT_S = 60.0
"""How long a fit that failed is not tried again: it was the same question."""


class Once(Generic[T]):
    """A value that the first to ask computes while others wait."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: list[T] = []
        self._failed: tuple[float, Refused] | None = None

    @property
    def made(self) -> list[T]:
        """The value, once it is there."""
        return self._made

    def value(self) -> T:
        """Raises:
        Refused: it cannot be computed, just now or less than a minute ago.
        """
        with self._lock:
            if self._made:
                return self._made[0]
            if self._failed is not None and time.monotonic() < self._failed[0] + FAILURE_KEPT_S:
                raise self._failed[1]
            try:
                self._made.append(self._make())
            except Refused as refused:
                self._failed = time.monotonic(), refused
                raise
            return self._made[0]


class Kept(Generic[R]):
    """The last few fits by their marks."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, Once[Made[R]]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, mark: str, make: Callable[[], Made[R]]) -> Once[Made[R]]:
        with self._lock:
            once = self._values.setdefault(mark, Once(make))
            self._values.move_to_end(mark)
            while len(self._values) > KEPT:
                self._values.popitem(last=False)
        return once

    def made(self, mark: str) -> Made[R] | None:
        """What is there of this mark."""
        with self._lock:
            once = self._values.get(mark)
        return once.made[0] if once is not None and once.made else None
