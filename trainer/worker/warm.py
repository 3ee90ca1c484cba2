"""The process of a merged model, kept for the next one that is made of the same things."""

from __future__ import annotations

from pathlib import Path

from trainer.job import Job
from trainer.worker.child import Child


class Warm:
    """Holds at most one process, which waits for a job and has base and experts loaded.

    It ends by itself after a while (`child.IDLE_S`), and here when a job of another kind comes. A
    worker that is killed takes it along; its trial was delivered before.
    """

    def __init__(self) -> None:
        self._child: Child | None = None
        self._made_of: object = None

    def take(self, job: Job, made_of: object, log: Path | None) -> Child | None:
        """Hands a job to the process that is kept; None, with that one ended, where it is not for
        it or is there no more.

        Args:
            made_of: what has to be the same; None for a job that is no merged model.
            log: file that takes what the process prints.
        """
        child, self._child = self._child, None
        if child is None:
            return None
        if made_of is not None and made_of == self._made_of and child.hand(job, log):
            return child
        child.stop()
        return None

    def keep(self, child: Child, made_of: object) -> None:
        """Keeps a process that waits."""
        self.end()
        self._child, self._made_of = child, made_of

    def end(self) -> None:
        """Ends what is kept."""
        child, self._child = self._child, None
        if child is not None:
            child.stop()
