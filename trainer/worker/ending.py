"""How an attempt ends: the service hears it, and the trial's folder is settled.

The end, and what the service then hears:

    a result              delivered first, then tidied up (`delivery.py`)
    the run broke         a failure that counts; the trial is tried again, by another worker first
    this machine lacks    a release: the trial goes to another worker, with nothing counted
    something             (`troubles.py` decides which)
    the recipe is wrong   a failure for good: it would be wrong everywhere
    asked to stop         a release
    it came to its step,  the scores there, with a checkpoint kept: the trial is paused, or stopped
    or was asked to pause
    lease lost, cancelled nothing: the service knows
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import structlog

from service.schemas import Measurement
from trainer.storage.sync import StoreSync
from trainer.storage.work_folder import TrialFolder
from trainer.worker.delivery import RESULT_AGAIN_S
from trainer.worker.lease import HeldLease
from trainer.worker.signals import Signals, Stopped

FORGET_S = 10.0


class Ending:
    """Ends one attempt, but for a result (`delivery.py`).

    Args:
        lease: under which the trial was run.
        folder: where the trial is kept on this machine.
        store_sync: where its run is kept for other nodes, if anywhere.

    Attributes:
        broke: why it came to nothing, where that may be this machine's fault.
        is_delivered: whether the service has its result, or scores of it when it was ended there.
    """

    def __init__(
        self, lease: HeldLease, folder: TrialFolder, signals: Signals, store_sync: StoreSync | None
    ) -> None:
        self._lease, self._folder, self._signals = lease, folder, signals
        self._store_sync = store_sync
        self.broke: str | None = None
        self.is_delivered = False
        trial = lease.trial
        self._log = structlog.get_logger().bind(study=trial.study, trial=trial.number)

    def pause(self, step: int, measurements: list[Measurement]) -> None:
        """The run came to its step, and its checkpoint is where whoever continues it looks.

        Raises:
            Stopped: a signal came before the service had heard it.
        """
        self._tell(lambda: self._lease.leave(step, measurements))
        self._log.info("run paused", step=step, trial_is=self._lease.state)
        self.is_delivered = self._lease.state in ("paused", "early_stopped")
        if self._lease.state == "early_stopped":
            self.over()
        else:
            self._folder.settle(is_over=False)

    def fail(self, error: str, *, retryable: bool, is_over: bool = True) -> None:
        """The run broke.

        Args:
            is_over: whether a trial that has failed for good needs its folder no more.

        Raises:
            Stopped: a signal came before the service had heard it.
        """
        if retryable:
            self.broke = error
        self._tell(lambda: self._lease.fail(error, retryable=retryable))
        if retryable or not is_over:
            self._folder.settle(is_over=False)
        else:
            self.over()

    def cannot(self, why: str) -> None:
        """Leaves the trial to another worker: it is this machine that cannot run it.

        Raises:
            Stopped: a signal came before the service had heard it.
        """
        self.broke = why
        self._log.error("THIS MACHINE CANNOT RUN THE TRIAL: another worker is to", reason=why)
        self._tell(lambda: self._lease.release(why, "environment"))
        self._folder.settle(is_over=False)

    def _tell(self, say: Callable[[], bool]) -> None:
        """Says how the attempt ended until the service has heard it: else its lease would run out,
        without a reason.

        Raises:
            Stopped: a signal came first.
        """
        try:
            while not say():
                self._signals.sleep(RESULT_AGAIN_S)
        except Stopped:
            self._folder.settle(is_over=False)
            raise

    def over(self) -> None:
        """Tidies up: no worker will go on with the trial."""
        self._folder.settle(is_over=True)
        if self._store_sync is not None:
            self._store_sync.forget()
            self._store_sync.join(FORGET_S)

    def release(self, reason: str) -> NoReturn:
        """Hands the trial back, since this worker stops.

        Raises:
            Stopped: always.
        """
        self._lease.release(reason)
        self._folder.settle(is_over=False)
        raise Stopped
