"""Where the engine computes: in a process of its own, so that requests stay fast during fits.

The process is given functions and arguments and gives back answers; it knows no database and keeps
nothing that matters. What takes too long is ended with its process; the next question starts a new
one. It holds one end of a socket that only the service keeps open: when the service is gone,
however it went, the socket closes and the process ends.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import ParamSpec, Protocol, TypeVar, cast

import structlog

from service import own_python

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")


class EngineFailed(Exception):  # noqa: N818 - it names a state of things
    """There is no answer, through no fault of the question as far as can be told."""


class TookTooLong(EngineFailed):
    """The computation was ended at its limit."""


class Stopping(EngineFailed):
    """The service is ending."""


class Engine(Protocol):
    """Something that computes."""

    def start(self) -> None:
        """Makes ready, if it is not, without waiting for that."""

    def ask(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function returns; a function and arguments that can be pickled.

        Raises:
            EngineFailed: it took too long, or its process died.
            Exception: what the function raised.
        """

    def stop(self) -> None:
        """Ends at once, also what is being computed."""


class Inline:
    """Computes in the caller's own thread."""

    def start(self) -> None:
        pass

    def ask(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    def stop(self) -> None:
        pass


class EngineProcess:
    """Computes in one process of its own, one question after the other.

    Args:
        limit_s: how long one computation may take.
        name: what it is for, in the log.
    """

    def __init__(self, limit_s: float, name: str) -> None:
        self._limit_s, self._name = limit_s, name
        self._asking = threading.Lock()
        self._changing = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None
        self._is_stopping = False

    @property
    def pid(self) -> int | None:
        """Id of the process; None while there is none."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def start(self) -> None:
        with self._changing:
            if self._is_stopping or self.pid is not None:
                return
            if self._process is not None:
                log.warning("engine died, started again", engine=self._name, exit=self._exit())
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - nothing from outside in it
                    own_python.command("service.executor.child", str(theirs.fileno())),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    env=self._environment(),
                    process_group=0,  # Ctrl-C is the service's to handle
                )
            if self._line is not None:
                self._line.close()
            self._line = Connection(ours.detach())

    def ask(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._asking:
            self.start()
            line = self._line
            if self._is_stopping or line is None:
                raise Stopping("the service is ending")
            try:
                line.send((function, args, kwargs))
                if not line.poll(self._limit_s):
                    self._end()
                    raise TookTooLong(
                        f"it was ended since it took more than {self._limit_s:g} s "
                        "(MODOMODO_FIT_LIMIT_S)"
                    )
                is_answer, value = line.recv()
            except (EOFError, OSError) as error:
                self._end()
                if self._is_stopping:
                    raise Stopping("the service is ending") from error
                raise EngineFailed(f"its process died ({self._exit()})") from error
        if not is_answer:
            raise value
        return cast(T, value)

    def stop(self) -> None:
        self._is_stopping = True
        with self._changing:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _environment(self) -> dict[str, str]:
        return {
            # More threads make small fits slower, and take the processor from requests.
            "OMP_NUM_THREADS": "1",
            **own_python.environment(),
            "MODOMODO_CALCULATION_LIMIT_S": str(self._limit_s),
        }

    def _exit(self) -> str:
        code = None if self._process is None else self._process.poll()
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"
