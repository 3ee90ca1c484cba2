"""How many threads of a process write at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import TimeoutError as PoolTimeout

TIMEOUT_S = 30.0
"""How long a thread waits until it may write."""


class WriteTurns:
    """Lets `n` threads of this process write at once; the others wait here, and hold nothing.

    In the order in which they came: one that writes again and again, as the thread of the workers'
    calls does, would else come before those that wait each time.
    """

    def __init__(self, n: int, timeout_s: float = TIMEOUT_S) -> None:
        self._n, self._timeout_s = n, timeout_s
        self._lock, self._free = threading.Lock(), n
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Raises:
        PoolTimeout: SQLAlchemy's, as when no connection is free.
        """
        self._take()
        try:
            yield
        finally:
            self._give()

    def _take(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = threading.Event()
            self._waiting.append(mine)
        if mine.wait(self._timeout_s):
            return
        with self._lock:
            if mine.is_set():  # just now
                return
            self._waiting.remove(mine)
        raise PoolTimeout(f"{self._n} others write, and none has ended for {self._timeout_s:g} s")

    def _give(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1
