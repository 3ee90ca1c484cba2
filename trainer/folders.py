"""What a worker keeps on disk, so that it may be killed at any moment and lose nothing.

A worker owns one numbered folder below its root, by a lock that ends with its process. In it each
trial has a folder: the lease as the service gave it, the run's log and checkpoints, and a result
that is still to be delivered. A worker that starts again finds there what its forerunner owed.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from service.schemas import NextAnswer, Result, Trial
from trainer import disk

Body = TypeVar("Body", NextAnswer, Result)

MAX_WORKERS = 1024
KEPT_RUNS = 20
"""Folders of finished runs that a worker keeps, the newest."""

_ANSWER, _RESULT, _LOG = "lease.json", "result.json", "run.log"


class FolderError(Exception):
    """A folder cannot be used."""


class WorkFolder:
    """The first folder `root/1`, `root/2`, … that no other worker has; freed when it dies.

    Raises:
        FolderError: none can be made.
    """

    def __init__(self, root: Path) -> None:
        for number in count(1):
            if number > MAX_WORKERS:
                raise FolderError(f"{MAX_WORKERS} workers are at work in {root}")
            self.path = root.resolve() / str(number)
            try:
                lock = disk.hold(self.path)
            except OSError as error:
                raise FolderError(f"cannot use folder {self.path}: {error.strerror}") from error
            if lock is not None:
                self._held = lock
                return

    def close(self) -> None:
        """Lets another worker have it."""
        self._held.close()

    def of(self, url: str, trial: Trial) -> TrialFolder:
        """The folder of a trial; the same whenever this worker gets it."""
        # Ids are unique in one service only.
        key = hashlib.sha256(f"{url} {trial.study}".encode()).hexdigest()[:8]
        return TrialFolder(self.path / f"trial-{trial.id}-{key}")

    def owed(self) -> Iterator[TrialFolder]:
        """Folders of trials that were not brought to an end, oldest first."""
        for folder in self._trials():
            if (folder.path / _ANSWER).exists():
                yield folder

    def prune(self, keep: int = KEPT_RUNS) -> None:
        """Removes all but the newest finished runs."""
        finished = [f for f in self._trials() if not (f.path / _ANSWER).exists()]
        for folder in finished[: max(0, len(finished) - keep)]:
            shutil.rmtree(folder.path, ignore_errors=True)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.path).free

    def _trials(self) -> list[TrialFolder]:
        paths = [path for path in self.path.glob("trial-*") if path.is_dir()]
        return [TrialFolder(p) for p in sorted(paths, key=lambda path: path.stat().st_mtime)]


@dataclass(frozen=True, slots=True)
class TrialFolder:
    """What is known here of one trial."""

    path: Path

    @property
    def log(self) -> Path:
        """What the training process printed."""
        return self.path / _LOG

    @property
    def run(self) -> Path:
        """The run's own folder: checkpoints and responses."""
        return self.path / "run"

    @property
    def incoming(self) -> Path:
        """Where a run of the store's is laid until it is whole."""
        return self.path / "incoming"

    @property
    def outgoing(self) -> Path:
        """What is on its way into the store."""
        return self.path / "outgoing"

    def begin(self, answer: NextAnswer) -> None:
        """Notes the lease before anything is done under it."""
        self.run.mkdir(parents=True, exist_ok=True)
        _write(self.path / _ANSWER, answer)

    def answer(self) -> NextAnswer | None:
        """The lease that was noted; None where there is none that can be read."""
        return _read(self.path / _ANSWER, NextAnswer)

    def keep(self, result: Result) -> None:
        """Notes a result until the service has it: its scores cost a whole run."""
        _write(self.path / _RESULT, result)

    def result(self) -> Result | None:
        """The result that is still to be delivered."""
        return _read(self.path / _RESULT, Result)

    def settle(self, *, is_over: bool) -> None:
        """Nothing is owed to the service any more.

        Args:
            is_over: the trial will not be run again; otherwise its checkpoints stay.
        """
        for name in (_ANSWER, _RESULT):
            (self.path / name).unlink(missing_ok=True)
        if is_over:
            shutil.rmtree(self.run / "checkpoints", ignore_errors=True)


def _write(path: Path, body: Body) -> None:
    # A lease's token is a right: for this user only.
    disk.write_whole(path, body.model_dump_json(indent=1).encode(), disk.OWNER)


def _read(path: Path, kind: type[Body]) -> Body | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
