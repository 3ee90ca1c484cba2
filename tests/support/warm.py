"""Commands as processes of their own that start in a moment: see `tests.support.warm_server`."""

from __future__ import annotations

import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

ROOT = Path(__file__).parents[2]
START_S = 60.0

INHERITED = "TESTS_WARM_SERVER"
"""Names the server that tests share, or that a command was forked from, to what they start."""


def share() -> None:
    """One server for all that processes of tests below this one start, from when the first asks."""
    address, listening = _listen()
    os.environ[INHERITED] = address[1:]

    def begin() -> None:
        with listening:
            select.select([listening], [], [])
            # It would end with the thread that started it.
            _start(listening).wait()

    threading.Thread(target=begin, daemon=True).start()


@functools.cache
def _server() -> str:
    """Address of the server that this process shares, or of its own, which ends with it, where
    nobody shares one."""
    if INHERITED in os.environ:
        return f"\0{os.environ[INHERITED]}"
    address, listening = _listen()
    with listening:
        _start(listening)
    return address


def _listen() -> tuple[str, socket.socket]:
    address = f"\0modomodo-warm-{os.getpid()}-{os.urandom(8).hex()}"
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listening.bind(address)
    listening.listen(128)
    return address, listening


def _start(listening: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.warm_server", str(listening.fileno())],
        cwd=ROOT,
        pass_fds=[listening.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


class Command:
    """A command of this project in a process of its own; what `subprocess.Popen` would give.

    Args:
        arguments: of the command line.
        module: what runs, as by `python -m`.
        environment: variables beside or instead of this process's.
        stdout, stderr: where its output goes; nowhere unless given.
    """

    def __init__(
        self,
        *arguments: str | Path,
        module: str = "modomodo",
        environment: dict[str, str] | None = None,
        folder: Path | None = None,
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | None = None,
    ) -> None:
        self._asked = [module, *map(str, arguments)]
        request = {
            "module": module,
            "arguments": self._asked[1:],
            "environment": os.environ | (environment or {}),
            "folder": str(folder or ROOT),
        }
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.settimeout(START_S)
        self._line.connect(_server())
        with Path(os.devnull).open("wb") as nowhere:
            outputs = [(out or nowhere).fileno() for out in (stdout, stderr)]
            socket.send_fds(self._line, [json.dumps(request).encode()], outputs)
        self.pid = int(self._line.recv(32))
        self.returncode: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self.wait()

    def poll(self) -> int | None:
        """Its exit code (negative: the signal that ended it); None while it runs."""
        if self.returncode is None and select.select([self._line], [], [], 0)[0]:
            self._hear()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not, after so many seconds.
        """
        if self.returncode is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self._asked, timeout or 0.0)
            self._hear()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Sends it a signal, if it is still there."""
        if self.poll() is None:
            # It may end, and be waited for by the server, before that has said so.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def _hear(self) -> None:
        said = self._line.recv(32)
        assert said, "the server of the tests' commands was ended"
        self.returncode = int(said)
        self._line.close()


SHIM = """#!{python} -IS
import os, json, socket, sys
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
line.connect({address!r})
asked = {{"module": "modomodo", "arguments": sys.argv[1:], "environment": dict(os.environ)}}
socket.send_fds(line, [json.dumps(asked | {{"folder": os.getcwd()}}).encode()], [1, 2])
line.recv(32)
sys.exit(int(line.recv(32)))
"""


def install(folder: Path) -> None:
    """Puts a program `modomodo` into a folder, for scripts that call it."""
    program = folder / "modomodo"
    program.write_text(SHIM.format(python=sys.executable, address=_server()))
    program.chmod(0o755)


def run(
    *arguments: str | Path,
    timeout: float = 50,
    environment: dict[str, str] | None = None,
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; what it printed comes as text."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with Command(
            *arguments, environment=environment, folder=folder, stdout=out, stderr=err
        ) as command:
            code = command.wait(timeout)
        said = []
        for stream in (out, err):
            stream.seek(0)
            said.append(stream.read().decode(errors="replace"))
    return subprocess.CompletedProcess(list(map(str, arguments)), code, *said)
