"""A service and workers as processes of this machine, for the demo and the benches."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from modomodo.errors import CommandFailed
from service import own_python
from trainer.storage import files as storage_files

START_S = 60.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
GRACE_S = 15.0
RUN_GRACE_S = 5.0
MAX_RESTARTS = 5
KEPT_PORTS = range(10_000, 32_768)
PORTS_TRIED = 100


def free_port(wanted: int = 0) -> int:
    """`wanted` if nothing listens there, else (and for 0) another one that is free.

    That is one below those that systems give to outgoing connections: one of these could take the
    port of a service that was killed before it is started again.

    Raises:
        CommandFailed: all that were tried are taken.
    """
    others = random.Random().choices(KEPT_PORTS, k=PORTS_TRIED)
    for port in [wanted, *others] if wanted else others:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise CommandFailed("no free port on 127.0.0.1")


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Lets no second Ctrl-C come between: half a stop leaves processes behind."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class LocalFleet:
    """One service on SQLite and some workers, each a process that logs to a file in `folder`.

    Leaving the context stops all of them in order: workers hand back their trials first.

    Args:
        keeps_runs: whether the workers keep runs in a store, `folder/store`: others can go on with
            them then, and models be merged of them.
    """

    def __init__(self, folder: Path, *, port: int = 8765, keeps_runs: bool = False) -> None:
        self.folder = folder
        self._keeps_runs = keeps_runs
        self.url = f"http://127.0.0.1:{free_port(port)}"
        self._service: subprocess.Popen[bytes] | None = None
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._study = ""
        self._restarts = 0

    def __enter__(self) -> Self:
        try:
            lock = storage_files.hold(self.folder)
        except OSError as error:
            raise CommandFailed(f"cannot use folder {self.folder}: {error.strerror}") from error
        if lock is None:
            raise CommandFailed(f"another process is at work in {self.folder}; give another folder")
        self._lock = lock
        database = f"sqlite:///{(self.folder / 'modomodo.db').resolve()}"
        port = self.url.rpartition(":")[2]
        self._service = self._start(
            "service", ["serve", "--host", "127.0.0.1", "--port", port, "--database", database]
        )
        try:
            self._await_service()
        except BaseException:
            self._stop([self._service])
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with _deaf():
            self._stop(self._workers.values())
            if self._service:
                self._stop([self._service])
        self._lock.close()

    def start_workers(self, n: int, study: str) -> None:
        """Starts `n` workers for a study; they end when it has nothing more to give."""
        self._study = study
        for i in range(1, n + 1):
            self._start_worker(f"worker-{i}")

    def check(self) -> bool:
        """Starts crashed workers again; whether any worker is at work.

        Raises:
            CommandFailed: the service is gone, or workers keep crashing; names the log to read.
        """
        if self._service is None or self._service.poll() is not None:
            raise CommandFailed(f"the service stopped; see {self.folder / 'service.log'}")
        for name, process in list(self._workers.items()):
            if process.poll() in (None, 0):
                continue
            self._restarts += 1
            if self._restarts > MAX_RESTARTS:
                raise CommandFailed(f"{name} keeps stopping; see {self.folder / name}.log")
            self._start_worker(name)
        return any(process.poll() is None for process in self._workers.values())

    def _start_worker(self, name: str) -> None:
        arguments = ["worker", "--url", self.url, "--study", self._study, "--until-done"]
        arguments += ["--folder", str(self.folder / "workers"), "--min-free-gb", "0.1"]
        arguments += ["--grace", f"{RUN_GRACE_S:g}s"]
        if self._keeps_runs:
            arguments += ["--store", str((self.folder / "store").resolve())]
        self._workers[name] = self._start(name, arguments)

    def _start(self, name: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own command line
                own_python.command("modomodo", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=own_python.environment() | ONE_THREAD,
                start_new_session=True,  # Ctrl-C reaches us alone; we stop them in order
            )

    def _await_service(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._service is None or self._service.poll() is not None:
                break
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", timeout=2.0, trust_env=False).is_success:
                    return
            time.sleep(0.1)
        raise CommandFailed(f"the service did not start; see {self.folder / 'service.log'}")

    @staticmethod
    def _stop(processes: Iterable[subprocess.Popen[bytes]]) -> None:
        running = [p for p in processes if p.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
