"""What commands of the tests start, forked from what is imported already instead of a Python anew.

`tests.support.warm_server` puts these in the place of `subprocess.Popen` in a command that it
forks. As users start them they are in `test_engine_process.py`, `test_service_processes.py` and
`test_fleet.py`, and a whole `LocalFleet` in a slow test of `test_workers.py`.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, NoReturn

from modomodo import local
from service.executor import child, process
from tests.support import warm


class Computing:
    """The process behind `service.executor.process`, a child of the service."""

    def __init__(
        self, command: Sequence[str], *, pass_fds: Sequence[int], env: dict[str, str], **_: Any
    ) -> None:
        self._waiting = threading.Lock()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _compute(*pass_fds, env)

    def poll(self) -> int | None:
        return self._reap(os.WNOHANG)

    def wait(self) -> int | None:
        return self._reap(0)

    def kill(self) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _reap(self, options: int) -> int | None:
        with self._waiting:
            if self.returncode is None:
                pid, status = os.waitpid(self.pid, options)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
            return self.returncode


def _compute(line: int, environment: dict[str, str]) -> NoReturn:
    """Answers questions until the service is gone. Nothing of the service's is used or let go."""
    try:
        gc.freeze()
        signal.set_wakeup_fd(-1)
        os.setpgid(0, 0)
        # Above all the service's end of the line, which closes when the service ends.
        os.closerange(3, line)
        os.closerange(line + 1, os.sysconf("SC_OPEN_MAX"))
        os.environ.clear()
        os.environ.update(environment)
        child.main(line, float(environment["MODOMODO_CALCULATION_LIMIT_S"]))
    finally:
        os._exit(1)


def start(
    command: Sequence[str], *, stdout: IO[bytes], stderr: IO[bytes], env: dict[str, str], **_: Any
) -> warm.Command:
    """A command of this project that another one starts."""
    module, *arguments = command[command.index("-m") + 1 :]
    return warm.Command(
        *arguments,
        module=module,
        environment=env,
        folder=Path.cwd(),
        stdout=stdout,
        stderr=stderr,
    )


def install() -> None:
    """Has the command that runs in this process start the engine and a `LocalFleet` so, and a
    service with routes that are ready."""
    from service import server
    from tests.support import serving

    server.create_app = serving.in_process
    for module, popen in ((process, Computing), (local, start)):
        module.subprocess = subprocess_with(popen)


def subprocess_with(popen: Callable[..., Any]) -> SimpleNamespace:
    """The module `subprocess`, which starts processes another way."""
    return SimpleNamespace(**vars(subprocess) | {"Popen": popen})
