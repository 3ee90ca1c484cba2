"""What a worker keeps on disk, so that it may be killed at any moment and lose nothing.

A worker owns one numbered folder below its root, by a lock that ends with its process. In it each
trial has a folder: the lease as the service gave it, the run's log and checkpoints, and a result
that is still to be delivered. A worker that starts again finds there what the one before left open.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from service.schemas import NextAnswer, Result, Trial
from trainer.storage import files as storage_files

Body = TypeVar("Body", NextAnswer, Result)

MAX_WORKERS = 1024
KEPT_RUNS = 20
"""Folders of finished runs that a worker keeps, the newest."""

EXPERTS = "experts"
_ANSWER, _RESULT, _LOG = "lease.json", "result.json", "run.log"
_REFUSED = "refused-"


class FolderError(Exception):
    """A folder cannot be used."""


class WorkFolder:
    """The first folder `root/1`, `root/2`, … that no other worker has; freed when it ends.

    Raises:
        FolderError: none can be made.
    """

    def __init__(self, root: Path) -> None:
        for number in count(1):
            if number > MAX_WORKERS:
                raise FolderError(f"{MAX_WORKERS} workers are at work in {root}")
            self.path = root.resolve() / str(number)
            try:
                lock = storage_files.hold(self.path)
            except OSError as error:
                raise FolderError(f"cannot use folder {self.path}: {error.strerror}") from error
            if lock is not None:
                self._held = lock
                return

    def close(self) -> None:
        """Lets another worker have it."""
        self._held.close()

    def of(self, url: str, trial: Trial, files_of: str | None = None) -> TrialFolder:
        """The folder of a trial; the same whenever this worker gets it.

        Args:
            files_of: as in `NextAnswer`.
        """
        # Ids are unique in one service only.
        key = hashlib.sha256(f"{url} {files_of or trial.study}".encode()).hexdigest()[:8]
        return TrialFolder(self.path / f"trial-{trial.id}-{key}")

    def unsettled(self) -> Iterator[TrialFolder]:
        """Folders of trials that were not brought to an end, oldest first."""
        for folder in self._trials():
            if (folder.path / _ANSWER).exists():
                yield folder

    def refused(self) -> Iterator[TrialFolder]:
        """Results that the service would not take, each as a folder of its own, oldest first."""
        for folder in self._trials():
            yield from folder.refused()

    def prune(self, keep: int = KEPT_RUNS) -> None:
        """Removes all but the newest finished runs; a result that was refused stays."""
        finished = _finished(self._trials())
        for folder in finished[: max(0, len(finished) - keep)]:
            folder.clear()

    @property
    def experts(self) -> Path:
        """Where experts' weights are kept for the next merged model."""
        return self.path / EXPERTS

    def make_room(self, wanted: int, *, is_idle: bool = False) -> int:
        """Removes finished runs, oldest first, until so many bytes are free: this worker's, then
        those of workers that are gone. Returns how many are free.

        Args:
            is_idle: no trial is at work here, so experts' weights may go too.
        """
        free = self.free_bytes()
        for folder in _finished(self._trials()):
            if free >= wanted:
                return free
            folder.clear()
            free = self.free_bytes()
        for other in sorted(self.path.parent.iterdir()):
            if free >= wanted:
                break
            if other.name.isdecimal() and other != self.path:
                free = self._make_room_at(other, wanted, free)
        if free < wanted and is_idle:
            free = self._drop(self.experts, free)
        return free

    def _drop(self, folder: Path, free: int) -> int:
        """Removes a folder where it is there; how many bytes are free then."""
        if not folder.is_dir():
            return free
        shutil.rmtree(folder, ignore_errors=True)
        return self.free_bytes()

    def _make_room_at(self, other: Path, wanted: int, free: int) -> int:
        try:
            lock = storage_files.hold(other)
        except OSError:
            return free
        if lock is None:
            return free  # its worker is at work
        with lock:
            free = self._drop(other / EXPERTS, free)
            for folder in _finished(_trials_in(other)):
                if free < wanted:
                    folder.clear()
                    free = self.free_bytes()
        return free

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.path).free

    def _trials(self) -> list[TrialFolder]:
        return _trials_in(self.path)


def _trials_in(path: Path) -> list[TrialFolder]:
    paths = [found for found in path.glob("trial-*") if found.is_dir()]
    return [TrialFolder(p) for p in sorted(paths, key=lambda path: path.stat().st_mtime)]


def _finished(folders: list[TrialFolder]) -> list[TrialFolder]:
    """Those of trials that are settled and that hold more than refused results."""
    return [
        folder
        for folder in folders
        if not (folder.path / _ANSWER).exists()
        and any(not entry.name.startswith(_REFUSED) for entry in folder.path.iterdir())
    ]


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

    def experts_in(self, root: Path) -> Path:
        """Where its study's experts lie below the folder of all of them."""
        return root / self.path.name.rsplit("-", 1)[-1]  # the key of service and study

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

    def refuse(self, result: Result) -> Path:
        """Puts a result that the service would not take aside, with its lease; returns where.

        Raises:
            OSError: there is no room even for that.
        """
        name = hashlib.sha256(result.token.encode()).hexdigest()[:8]
        aside = TrialFolder(self.path / f"{_REFUSED}{name}")
        aside.path.mkdir(exist_ok=True)
        answer = self.answer()
        if answer is not None:
            _write(aside.path / _ANSWER, answer)
        aside.keep(result)
        return aside.path

    def refused(self) -> Iterator[TrialFolder]:
        """Its results that the service would not take."""
        for path in sorted(self.path.glob(f"{_REFUSED}*")):
            yield TrialFolder(path)

    def clear(self) -> None:
        """Removes all but results that the service would not take."""
        kept = [folder.path for folder in self.refused()]
        if not kept:
            shutil.rmtree(self.path, ignore_errors=True)
            return
        for entry in self.path.iterdir():
            if entry.is_dir() and entry not in kept:
                shutil.rmtree(entry, ignore_errors=True)
            elif entry not in kept:
                entry.unlink(missing_ok=True)

    def settle(self, *, is_over: bool) -> None:
        """Nothing is left to send to the service.

        Args:
            is_over: the trial will not be run again; otherwise its checkpoints stay.
        """
        for name in (_ANSWER, _RESULT):
            with suppress(OSError):  # what stays is sent once more, which changes nothing
                (self.path / name).unlink(missing_ok=True)
        if is_over:
            shutil.rmtree(self.run / "checkpoints", ignore_errors=True)


def _write(path: Path, body: Body) -> None:
    # A lease's token is a right: for this user only.
    storage_files.write_whole(path, body.model_dump_json(indent=1).encode(), storage_files.OWNER)


def _read(path: Path, kind: type[Body]) -> Body | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
