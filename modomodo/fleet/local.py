"""The engine `local`: workers as processes of this machine. They outlive the controller.

Linux alone: what runs is read from `/proc`, where a worker's own arguments say whose it is.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from modomodo.fleet.engines import Setup, Started, node_of, worker_name
from service import own_python

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Local:
    """Processes on this machine, each logging to a file of its own in `folder`."""

    def __init__(self, fleet: str, setup: Setup, folder: Path) -> None:
        self.fleet, self._setup, self._folder = fleet, setup, folder
        # After a restart nothing of before runs any more.
        self._node = BOOT_ID.read_text().strip().replace("-", "")[:12]
        self._children: list[subprocess.Popen[bytes]] = []

    def workers(self) -> list[Started]:
        self._children = [child for child in self._children if child.poll() is None]
        found = []
        for place in Path("/proc").iterdir():
            words = _words(place) if place.name.isdigit() else []
            name = _after("--name", words)
            if "worker" in words and name is not None and node_of(self.fleet, name):
                study = _after("--study", words)
                found.append(Started(place.name, study, "running", name, os.uname().nodename))
        return found

    def start(self, study: str | None, n: int) -> None:
        for _ in range(n):
            self._start(study)

    def _start(self, study: str | None) -> None:
        name = worker_name(self.fleet, self._node)
        arguments = self._setup.arguments(name, study)
        program = self._setup.program
        command = [*program, *arguments] if program else own_python.command("modomodo", *arguments)
        environment = own_python.environment() | self._setup.environment()
        environment.setdefault("MODOMODO_FOLDER", str(self._folder / "workers"))
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{name}.log").open("ab") as log:
            self._children.append(
                subprocess.Popen(  # noqa: S603 - the operator's own program
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                )
            )

    def cancel(self, worker: Started) -> None:
        with suppress(ProcessLookupError):
            os.kill(int(worker.id), signal.SIGTERM)

    def lost(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if node_of(self.fleet, name) not in (None, self._node)]


def _words(place: Path) -> list[str]:
    """The command line of a process; nothing of one that has ended."""
    try:
        return (place / "cmdline").read_text(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def _after(option: str, words: Sequence[str]) -> str | None:
    return next((b for a, b in itertools.pairwise(words) if a == option), None)
