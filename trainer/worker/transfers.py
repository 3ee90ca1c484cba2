"""What an attempt fetches from the workers' store and keeps there; its lease is kept meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import structlog

from service.schemas import Merge
from trainer.job import Job, Merging
from trainer.recipe import Recipe
from trainer.storage.experts import Experts
from trainer.storage.sync import StoreSync
from trainer.storage.work_folder import TrialFolder
from trainer.worker.ending import Ending
from trainer.worker.lease import HeldLease
from trainer.worker.setting import Setting
from trainer.worker.signals import Signals

LOOK_EVERY_S = 0.2
"""Between two looks for a signal."""


class Transfers:
    """Of one attempt.

    Args:
        sync: the trial's run, here and in the store; None where nothing of it is kept there.
        beat: sends a heartbeat of the attempt.
    """

    def __init__(
        self,
        lease: HeldLease,
        signals: Signals,
        setting: Setting,
        ending: Ending,
        sync: StoreSync | None,
        beat: Callable[[], None],
    ) -> None:
        self._lease, self._signals, self._setting = lease, signals, setting
        self._ending, self._sync, self._beat = ending, sync, beat
        trial = lease.trial
        self._log = structlog.get_logger().bind(study=trial.study, trial=trial.number)

    @property
    def keeps_run(self) -> bool:
        """Whether the trial's run is kept in a store."""
        return self._sync is not None

    def fetch(self, job: Job) -> None:
        """Takes over what another node has kept of the trial, where that is further.

        Raises:
            Stopped: a signal came; the trial was handed back.
        """
        if self._sync is None:
            return
        self._sync.fetch(job)
        if self._wait(self._sync):
            self._sync.adopt()
        self._heed_signals()

    def fetch_experts(
        self,
        merge: Merge,
        recipe: Recipe,
        folder: TrialFolder,
        weighed: Sequence[str],
        *,
        is_price: bool = False,
    ) -> Merging | None:
        """Fetches what is to be merged; None where that cannot be done, which the service then
        knows.

        Args:
            weighed: the benchmarks that the objective weighs.
            is_price: whether no others are to be scored.

        Raises:
            Stopped: a signal came; the trial was handed back.
        """
        setting = self._setting
        if setting.store is None or setting.experts is None:
            self._ending.cannot(
                "experts' weights are in the workers' store, and this worker has none (--store)"
            )
            return None
        experts = Experts(setting.store, folder.experts_in(setting.experts), setting.make_room)
        experts.fetch(merge.experts, recipe)
        is_done = self._wait(experts)
        self._heed_signals()
        if not is_done:
            self._ending.cannot(f"the store gave no experts within {setting.stalled_s:g} s")
            return None
        if experts.trouble is not None:
            if experts.is_wrong:
                self._ending.fail(experts.trouble, retryable=False)
            else:
                self._ending.cannot(experts.trouble)
            return None
        found = Merging(
            experts.weights,
            merge.scale_at_uniform,
            weighed=frozenset(weighed),
            is_price=is_price,
        )
        if merge.calibrate is None:
            return found
        return replace(found, target=merge.calibrate.score, weights=merge.calibrate.weights)

    def look(self) -> None:
        """Begins to keep the newest checkpoint of a run, if it is new."""
        if self._sync is not None:
            self._sync.look()

    def keep(self, until: float | None) -> None:
        """Keeps the newest checkpoint of a run that has ended."""
        if self._sync is not None and self._wait(self._sync, until):
            self._sync.look()
            self._wait(self._sync, until)

    def as_artifacts(self, steps: int) -> dict[str, Any]:
        """Where the finished run will be, and whether with weights; nothing without a store."""
        if self._sync is None:
            return {}
        return {"store": self._sync.final, "keeps_weights": self._sync.has_weights(steps)}

    def publish(self, steps: int, until: float | None) -> None:
        """Puts the finished run into the store, its result delivered and its lease over."""
        if self._sync is None or not self._wait(self._sync, until, is_over=True):
            return
        self._sync.publish(steps)
        self._wait(self._sync, until, is_over=True)
        if not self._sync.is_public:
            self._log.error("the finished run is not in the store", url=self._sync.final)

    def _heed_signals(self) -> None:
        if self._signals.came:
            self._ending.release("the worker was asked to stop")

    def _wait(
        self, transfer: StoreSync | Experts, until: float | None = None, *, is_over: bool = False
    ) -> bool:
        """Waits while a transfer is under way, until then or for as long as a run may be silent; a
        signal leaves it the grace time. The lease is kept meanwhile, unless it is over. Whether the
        transfer has ended."""
        until = time.monotonic() + self._setting.stalled_s if until is None else until
        is_stopping = self._signals.came
        while transfer.is_busy:
            if self._signals.came and not is_stopping:
                until, is_stopping = min(until, time.monotonic() + self._setting.grace_s), True
            now = time.monotonic()
            if now >= until:
                self._log.warning("the store takes too long and is not waited for")
                return False
            if not is_over and now >= self._lease.next_beat:
                self._beat()
            beat = until if is_over else self._lease.next_beat
            transfer.join(min(beat - now, until - now, LOOK_EVERY_S))
        return True
