"""How many threads of a process write at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import TimeoutError as PoolTimeout

TIMEOUT_S = 30.0
"""How long a thread waits until it may write."""


class WriteTurns:
    """Lets `n` threads of this process write at once; the others wait here, and hold nothing."""

    def __init__(self, n: int, timeout_s: float = TIMEOUT_S) -> None:
        self._n, self._timeout_s = n, timeout_s
        self._free = threading.BoundedSemaphore(n)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Raises:
        PoolTimeout: SQLAlchemy's, as when no connection is free.
        """
        if not self._free.acquire(timeout=self._timeout_s):
            raise PoolTimeout(
                f"{self._n} others write, and none has ended for {self._timeout_s:g} s"
            )
        try:
            yield
        finally:
            self._free.release()
