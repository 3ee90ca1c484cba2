"""The worker daemon: leases a trial, has it trained, posts the result, again."""

from __future__ import annotations

import os
import secrets
import socket
import time
from dataclasses import dataclass, field

import structlog

from service.schemas import NextAnswer, NextRequest
from trainer.attempt import Attempt, Setting
from trainer.client import Client, ServiceUnreachable
from trainer.folders import TrialFolder, WorkFolder
from trainer.signals import Signals, Stopped

ASK_AGAIN_S = 5.0
"""Pause before asking again when the service does not say or cannot be reached."""
ROOM_AGAIN_S = 60.0
"""Pause before looking again whether there is room on the disk."""


def default_name() -> str:
    """Host, process and a random part: two workers are never taken for one."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


@dataclass(slots=True)
class Worker:
    """Works until stopped.

    Attributes:
        folder: what it keeps on disk.
        setting: what its runs have of this machine.
        study: only take trials of this study; None takes any.
        max_trials: stop after so many trials; None goes on.
        until_done: stop when the service says there is nothing more to come.
        drain_after_s: take no new trial after so many seconds; None goes on.
        min_free_bytes: take no new trial with less room on the disk.
        attempt: the trial at work, to look at.
    """

    client: Client
    name: str
    signals: Signals
    folder: WorkFolder
    setting: Setting = field(default_factory=Setting)
    study: str | None = None
    max_trials: int | None = None
    until_done: bool = False
    drain_after_s: float | None = None
    min_free_bytes: int = 0
    attempt: Attempt | None = None
    done: int = field(default=0, init=False)

    def run(self) -> None:
        """Takes trials one by one; returns on a signal or when its work is over.

        Raises:
            ServiceError: the service refuses this worker (unknown study, wrong key).
        """
        started = time.monotonic()
        log = structlog.get_logger().bind(worker=self.name)
        log.info("worker started", service=self.client.url, folder=str(self.folder.path))
        try:
            for owed in list(self.folder.owed()):
                self._take_up(owed)
            while self.max_trials is None or self.done < self.max_trials:
                worked_s = time.monotonic() - started
                if self.drain_after_s is not None and worked_s > self.drain_after_s:
                    log.info("drained", after_s=self.drain_after_s)
                    break
                answer = self._ask()
                if answer is None or answer.trial is None:
                    break
                self._work(answer, self.folder.of(self.client.url, answer.trial))
        except Stopped:
            log.info("worker stopped by a signal")

    def _work(self, answer: NextAnswer, folder: TrialFolder) -> None:
        self.attempt = Attempt(self.client, answer, self.signals, folder, self.setting)
        self.attempt.run()
        self._finished()

    def _take_up(self, folder: TrialFolder) -> None:
        """What this worker's forerunner in its folder left open."""
        answer = folder.answer()
        if answer is None or answer.trial is None or answer.lease is None:
            folder.settle(is_over=False)
            return
        if self.folder.of(self.client.url, answer.trial) != folder:
            return  # another service's
        self.attempt = Attempt(self.client, answer, self.signals, folder, self.setting)
        self.attempt.take_up()
        self._finished()

    def _finished(self) -> None:
        self.attempt = None
        self.done += 1
        self.folder.prune()

    def _ask(self) -> NextAnswer | None:
        """The next leased trial; None when there is no more work and the worker may end."""
        log = structlog.get_logger().bind(worker=self.name)
        while True:
            if self.signals.came:
                raise Stopped
            free = self.folder.free_bytes()
            if free < self.min_free_bytes:
                log.error(
                    "no room for a run",
                    folder=str(self.folder.path),
                    free_gb=round(free / 1e9, 1),
                    wanted_gb=round(self.min_free_bytes / 1e9, 1),
                )
                self.signals.sleep(ROOM_AGAIN_S)
                continue
            try:
                answer = self.client.next(NextRequest(worker=self.name, study=self.study))
            except ServiceUnreachable as error:
                log.warning("service unreachable", error=str(error))
                self.signals.sleep(ASK_AGAIN_S)
                continue
            if answer.trial is not None:
                return answer
            if self.until_done and answer.retry_after_s is None:
                log.info("no more work", reason=answer.reason)
                return None
            self.signals.sleep(answer.retry_after_s or ASK_AGAIN_S)
