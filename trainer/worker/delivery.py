"""Delivery of a result: it is brought to the service, or kept until a person can bring it.

A result costs a whole run. It is on disk until the service has it, and where the disk is full it is
delivered from memory. Refusals that may pass (a key that is wrong just now, a service that does not
know the trial) are waited for; one that will not pass ends the trial with its reason, and the
result stays in the worker's folder.
"""

from __future__ import annotations

from itertools import count

import structlog

from service.schemas import Result
from trainer.storage.work_folder import TrialFolder
from trainer.worker.lease import HeldLease, Verdict
from trainer.worker.signals import Signals, Stopped

RESULT_AGAIN_S = 5.0
LONGEST_PAUSE_S = 300.0
"""Between two tries of a result that the service refuses as things are."""


class Delivery:
    """Brings one trial's result to the service.

    Args:
        lease: under which the trial was run.
        folder: where the result is kept meanwhile.
    """

    def __init__(self, lease: HeldLease, folder: TrialFolder, signals: Signals) -> None:
        self._lease, self._folder, self._signals = lease, folder, signals
        trial = lease.trial
        self._log = structlog.get_logger().bind(study=trial.study, trial=trial.number)

    def keep(self, result: Result) -> None:
        """Notes the result on disk, where that has room; delivery does not depend on it."""
        try:
            self._folder.keep(result)
        except OSError as error:
            self._log.error(
                "the result cannot be kept on disk; it is delivered from memory",
                error=str(error),
                folder=str(self._folder.path),
            )

    def bring(self, result: Result) -> bool:
        """Tries for as long as it takes. True when the service has it; False when it will never
        take it: the trial has then failed with the reason, and the result was put aside.

        Raises:
            Stopped: a signal came first; the result is on disk.
        """
        try:
            return self._bring(result)
        except Stopped:
            self._log.warning(
                "stopped with the result undelivered; the next worker in this folder delivers it",
                folder=str(self._folder.path),
            )
            raise

    def _bring(self, result: Result) -> bool:
        for tries in count():
            verdict, reason = self._lease.finish(result)
            if verdict is Verdict.TAKEN:
                return True
            if verdict is Verdict.REFUSED:
                self._give_up(result, reason)
                return False
            pause = RESULT_AGAIN_S
            if verdict is Verdict.BARRED:
                pause = min(LONGEST_PAUSE_S, RESULT_AGAIN_S * 2.0 ** min(tries, 10))
                self._log.error(
                    "THE SERVICE DOES NOT TAKE A RESULT: it is kept and tried again",
                    reason=reason,
                    folder=str(self._folder.path),
                    again_in_s=pause,
                )
            self._signals.sleep(pause)
        raise AssertionError  # count() has no end

    def _give_up(self, result: Result, reason: str) -> None:
        """Puts the result aside, and ends the trial with why."""
        place = self._put_aside(result)
        where = f"the result is kept by the worker in {place}" if place else "see the worker's log"
        self._log.error("THE SERVICE REFUSES A RESULT", reason=reason, kept=place)
        error = f"the run was finished, and the service refused its result: {reason} ({where})"
        while not self._lease.fail(error, retryable=False):
            self._signals.sleep(RESULT_AGAIN_S)

    def _put_aside(self, result: Result) -> str | None:
        try:
            return str(self._folder.refuse(result))
        except OSError as error:
            # The log is the last place there is.
            self._log.error(
                "a refused result cannot be kept on disk",
                error=str(error),
                result=result.model_dump_json(exclude={"token"}),
            )
            return None
