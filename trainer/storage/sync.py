"""Keeps one trial's run in the store, beside its training: a store that fails only warns.

Each transfer has a thread of its own, one at a time, so that the worker can keep the lease while it
takes. Training is never waited for and never waits: a checkpoint's files are linked before they are
read, so the run may prune it meanwhile.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from threading import Thread

import structlog

from trainer.job import Job
from trainer.storage.remote import StoredRun
from trainer.storage.run_folder import RunFolder, identity, run_of
from trainer.storage.work_folder import TrialFolder


class StoreSync:
    """One trial's run, here and in the store.

    Args:
        stored: the trial's place in the store.
        folder: the trial's folder here.

    Attributes:
        is_public: whether the finished run is in the store, whole.
    """

    def __init__(self, stored: StoredRun, folder: TrialFolder) -> None:
        self._stored, self._folder = stored, folder
        self._run = RunFolder(folder.run)
        self._sent, self._keep = 0, 1
        self._fetched: int | None = None
        self.is_public = False
        self._transfer: Thread | None = None
        self._log = structlog.get_logger().bind(store=stored.place)

    @property
    def is_busy(self) -> bool:
        """Whether a transfer is under way."""
        return self._transfer is not None and self._transfer.is_alive()

    def join(self, seconds: float) -> None:
        """Waits for the transfer, at most so long."""
        if self._transfer is not None:
            self._transfer.join(max(0.0, seconds))

    def fetch(self, job: Job) -> None:
        """Begins to look for a newer checkpoint of this job than the one here; `adopt` then takes
        it."""
        self._keep = job.recipe.checkpoints.keep
        self._begin("fetch", lambda: self._fetch(job))

    def _fetch(self, job: Job) -> None:
        incoming = self._folder.incoming
        shutil.rmtree(incoming, ignore_errors=True)
        here = max(self._run.checkpoints(), default=0)
        step = self._stored.fetch(incoming, after=here)
        if step is None:
            return
        if run_of(incoming) != identity(job, job.run_seed):
            self._log.warning("the stored checkpoint is another run's; not gone on with", step=step)
            return
        self._fetched = step

    def adopt(self) -> None:
        """Puts what was fetched in the place of the run here, before that starts."""
        if self._fetched is not None:
            shutil.rmtree(self._folder.run, ignore_errors=True)
            self._folder.incoming.replace(self._folder.run)
            self._sent = self._fetched
            self._log.info("going on from the store", step=self._fetched)
        shutil.rmtree(self._folder.incoming, ignore_errors=True)

    def look(self) -> None:
        """Begins to upload the newest checkpoint, if it is new and nothing is under way."""
        newest = max(self._run.checkpoints(), default=0)
        if newest <= self._sent or self.is_busy:
            return
        self._sent = newest  # tried once: the next one is worth more than this one again
        self._begin("upload", lambda: self._upload(newest))

    def _upload(self, step: int) -> None:
        started, outgoing = time.monotonic(), self._folder.outgoing
        shutil.rmtree(outgoing, ignore_errors=True)
        try:
            self._run.copy_checkpoint(step, outgoing)
            self._stored.put(outgoing, step)
        finally:
            shutil.rmtree(outgoing, ignore_errors=True)
        took = round(time.monotonic() - started, 1)
        self._log.info("checkpoint stored", step=step, seconds=took)
        self._stored.prune(self._keep)

    def publish(self, steps: int) -> None:
        """Begins to upload the finished run to `final`."""
        self._begin("publish", lambda: self._publish(steps))

    def _publish(self, steps: int) -> None:
        outgoing = self._folder.outgoing
        shutil.rmtree(outgoing, ignore_errors=True)
        try:
            self._run.copy_finished(steps, outgoing)
            self._stored.put_final(outgoing, steps)
        finally:
            shutil.rmtree(outgoing, ignore_errors=True)
        self.is_public = True

    def has_weights(self, steps: int) -> bool:
        """Whether the finished run has weights that others can load."""
        checkpoint = self._run.checkpoint(steps)
        return any(checkpoint.glob("*.safetensors"))

    @property
    def final(self) -> str:
        """URL that the finished run is put at; whole once it has a manifest."""
        return self._stored.final

    def forget(self) -> None:
        """Begins to remove the trial's checkpoints from the store."""
        self._begin("forget", self._stored.forget)

    def _begin(self, what: str, work: Callable[[], None]) -> None:
        if self.is_busy:
            self._log.warning(f"{what} left out: the store is still busy with what came before")
            return

        def run() -> None:
            try:
                work()
            except Exception as error:  # a store's library may raise anything, and none may stop us
                said = f"{type(error).__name__}: {error}"
                self._log.warning(f"{what} failed; training is not concerned", error=said)

        self._transfer = Thread(target=run, name=f"modomodo-{what}", daemon=True)
        self._transfer.start()
