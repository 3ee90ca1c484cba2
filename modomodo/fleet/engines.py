"""What a fleet asks of an engine, and how workers are called and started on any."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

IDLE_AFTER = "60s"
"""A worker that gets no trial for so long ends: another may need its GPUs."""

GRACE_S, WARNING_S = 150, 180
"""Of the seconds between an engine's signal to a worker and its end: what the run has for a
checkpoint, and all."""

FLEET_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,38}[A-Za-z0-9])?")
WORKER_KEY = "MODOMODO_WORKER_KEY"
_KEY = "MODOMODO_API_KEY"
_OF_THIS_MACHINE = ("MODOMODO_NODE", "MODOMODO_ENDS_AT")


@dataclass(frozen=True, slots=True)
class Started:
    """A worker that the engine was asked for.

    Attributes:
        id: the engine's own name of it.
        state: `pending` while it waits for a machine.
        name: what the service knows it by; None while pending.
        node: the machine that it is on.
    """

    id: str
    study: str | None
    state: Literal["pending", "running"]
    name: str | None = None
    node: str = ""


class Engine(Protocol):
    """What starts workers on machines. It knows what it runs; a fleet keeps nothing of it."""

    fleet: str

    def workers(self) -> list[Started]:
        """All of this fleet that it runs or will run."""

    def start(self, study: str | None, n: int) -> None:
        """Asks for so many more workers."""

    def cancel(self, worker: Started) -> None:
        """Takes back one that is pending, or has a running one end in order (SIGTERM): it writes a
        checkpoint and hands its trial back."""

    def lost(self, names: Sequence[str]) -> list[str]:
        """Those of these workers of the fleet whose machine is known to be dead."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How a worker is started.

    Attributes:
        program: words that run `modomodo` where workers run; empty for this very program.
        gpus: that a trial has.
        engine: what starts it, which it says of itself.
        labels: further ones that it says of itself, by name.
        gpu_memory_gb: of its GPUs; None where that is not known here.
    """

    url: str
    gpus: int = 1
    store: str | None = None
    program: tuple[str, ...] = ()
    engine: str = "local"
    labels: Mapping[str, str] = field(default_factory=dict)
    gpu_memory_gb: float | None = None

    def has(self) -> dict[str, Any]:
        """What a worker has, as `Client.demand` takes it: as far as it is known before there is
        one."""
        found: dict[str, Any] = {"labels": self._all_labels()}
        if self.gpus and self.engine != "local":  # there it has all that the machine has
            found["gpus"] = self.gpus
        if self.gpu_memory_gb is not None:
            found["gpu_memory_gb"] = self.gpu_memory_gb
        return found

    def _all_labels(self) -> dict[str, str]:
        return {"engine": self.engine, **self.labels}

    def arguments(self, name: str, study: str | None, *, until_done: bool = False) -> list[str]:
        """Of `modomodo worker`: one trial, then the machine is free for the next. No secrets.

        Args:
            until_done: trial after trial, where no controller would start another worker.
        """
        words = ["worker", "--url", self.url, "--name", name, "--until-done"]
        for label in self._all_labels().items():
            words += ["--label", "=".join(label)]
        words += [] if until_done else ["--max-trials", "1", "--idle-after", IDLE_AFTER]
        words += [] if study is None else ["--study", study]
        return words + ([] if self.store is None else ["--store", self.store])

    def environment(self, here: Mapping[str, str] = os.environ) -> dict[str, str]:
        """What workers get of this process's variables: MODOMODO_DATA and its like, and the key,
        which is that of MODOMODO_WORKER_KEY where there is one."""
        found = {
            name: text
            for name, text in here.items()
            if name.startswith("MODOMODO_") and name not in _OF_THIS_MACHINE
        }
        key = found.pop(WORKER_KEY, None)
        return found | ({_KEY: key} if key else {})


def worker_name(fleet: str, node: str) -> str:
    """As `FLEET.NODE.RANDOM`: says where it is to whoever asks whether that machine is dead."""
    return f"{fleet}.{node}.{secrets.token_hex(4)}"


def node_of(fleet: str, name: str) -> str | None:
    """The node in a worker's name; None where it is no worker of the fleet."""
    parts = name.split(".")
    return parts[1] if len(parts) == 3 and parts[0] == fleet else None
