"""SIGTERM and SIGINT as something to wait for."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import wait
from typing import Any


class Stopped(Exception):  # noqa: N818 - it is a state, not a mistake
    """SIGTERM or SIGINT came."""


class Signals:
    """SIGTERM and SIGINT as a file descriptor that becomes readable, so that `wait` sees them.

    The first lets work end in order; a second one ends this process at once.
    """

    def __init__(self) -> None:
        self.descriptor, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self.came = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: Any) -> None:
        if self.came:
            os._exit(128 + number)  # the children's control pipes close now, which ends them
        self.came = True
        os.write(self._write, b"!")

    def sleep(self, seconds: float) -> None:
        """Pauses.

        Raises:
            Stopped: a signal came before the time was over, or earlier.
        """
        wait([self.descriptor], timeout=seconds)
        if self.came:
            raise Stopped
