"""The worker daemon: leases a trial, has it trained, posts the result, again."""

from __future__ import annotations

import math
import os
import re
import secrets
import shutil
import socket
import time
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from service.client import Client, ServiceUnreachable
from service.schemas import NextAnswer, NextRequest
from trainer.storage.work_folder import TrialFolder, WorkFolder
from trainer.worker.attempt import Attempt
from trainer.worker.lease import HeldLease, Verdict
from trainer.worker.setting import Setting
from trainer.worker.signals import Signals, Stopped
from trainer.worker.warm import Warm

ASK_AGAIN_S = 5.0
"""Pause before asking again when the service does not say or cannot be reached."""
ROOM_AGAIN_S = 60.0
"""Pause before looking again whether there is room on the disk."""
FREE_BYTES = 10**9
"""Room for a run whose checkpoints are not known yet."""
FAILURES_IN_A_ROW = 5
"""So many runs broke one after the other: it is more likely the machine than the trials."""


REST_S, LONGEST_REST_S = 10.0, 300.0
"""Pause of a worker that is not to give up, after so many; then twice as long each time."""


class GaveUp(Exception):  # noqa: N818 - it is how a worker ends
    """Run after run broke on this machine; the message says how."""


def default_name() -> str:
    """Host, process and a random part: no two workers have the same name."""
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
        idle_after_s: stop when there was no trial to have for so many seconds; None goes on.
        min_free_bytes: take no new trial with less room on the disk; None goes by the checkpoints
            of the recipes that come.
        max_failures: give up after so many runs in a row that broke; 0 goes on.
        capabilities: what it says of where it runs, as `capabilities.py` finds it.
        attempt: the trial at work, to look at.
        warm: the process of the last merged model, if the next trial may have it.
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
    idle_after_s: float | None = None
    min_free_bytes: int | None = 0
    max_failures: int = FAILURES_IN_A_ROW
    capabilities: dict[str, Any] = field(default_factory=dict)
    attempt: Attempt | None = None
    done: int = field(default=0, init=False)
    broken: int = field(default=0, init=False)
    needed_bytes: int = field(default=0, init=False)
    reason: str | None = field(default=None, init=False)
    warm: Warm = field(default_factory=Warm, init=False)

    def run(self) -> None:
        """Takes trials one by one; returns on a signal or when its work is over.

        Raises:
            GaveUp: run after run broke here.
            ServiceError: the service refuses this worker (unknown study, wrong key).
        """
        if self.min_free_bytes is None:
            self.setting = replace(self.setting, make_room=self.folder.make_room)
        self.setting = replace(self.setting, experts=self.folder.experts)
        started = time.monotonic()
        log = structlog.get_logger().bind(worker=self.name)
        log.info("worker started", service=self.client.url, folder=str(self.folder.path))
        try:
            for refused in list(self.folder.refused()):
                self._offer_again(refused)
            for unsettled in list(self.folder.unsettled()):
                self._take_up(unsettled)
            while self.max_trials is None or self.done < self.max_trials:
                worked_s = time.monotonic() - started
                if self.drain_after_s is not None and worked_s > self.drain_after_s:
                    log.info("drained", after_s=self.drain_after_s)
                    break
                answer = self._ask()
                if answer is None or answer.trial is None:
                    break
                self._work(answer, self.folder.of(self.client.url, answer.trial, answer.files_of))
        except Stopped:
            log.info("worker stopped")
        finally:
            self.warm.end()

    def _attempt(self, answer: NextAnswer, folder: TrialFolder) -> Attempt:
        return Attempt(self.client, answer, self.signals, folder, self.setting, self.warm)

    def _work(self, answer: NextAnswer, folder: TrialFolder) -> None:
        self.attempt = self._attempt(answer, folder)
        self.attempt.run()
        self._finished()

    def _take_up(self, folder: TrialFolder) -> None:
        """What the worker before this one left open in its folder."""
        answer = folder.answer()
        if answer is None or answer.trial is None or answer.lease is None:
            folder.settle(is_over=False)
            return
        if self.folder.of(self.client.url, answer.trial, answer.files_of) != folder:
            return  # another service's
        self.attempt = self._attempt(answer, folder)
        self.attempt.take_up()
        self._finished()

    def _offer_again(self, folder: TrialFolder) -> None:
        """Offers a result that was refused once more: what was wrong may have been mended."""
        answer, result = folder.answer(), folder.result()
        if answer is None or answer.trial is None or result is None:
            return
        if (
            self.folder.of(self.client.url, answer.trial, answer.files_of).path
            != folder.path.parent
        ):
            return  # another service's
        log = structlog.get_logger().bind(study=answer.trial.study, trial=answer.trial.number)
        verdict, reason = HeldLease.of(self.client, answer).finish(result)
        if verdict is Verdict.TAKEN:
            log.info("a result that was refused before is taken now")
            shutil.rmtree(folder.path, ignore_errors=True)
        else:
            log.warning("a result is still not taken", reason=reason, kept=str(folder.path))

    def _finished(self) -> None:
        """Clears up after an attempt.

        Raises:
            GaveUp: too many in a row came to nothing.
        """
        attempt, self.attempt = self.attempt, None
        self.done += 1
        self.folder.prune()
        if attempt is None:
            return
        self.needed_bytes = max(self.needed_bytes, attempt.needed_bytes)
        if attempt.is_delivered:
            self.broken = 0
        elif attempt.broke is not None:
            self.broken += 1
            if not self.max_failures and self.broken >= FAILURES_IN_A_ROW:
                self._rest(attempt.broke)
            if self.max_failures and self.broken >= self.max_failures:
                raise GaveUp(
                    f"worker {self.name!r} stops: {self.broken} runs in a row broke on this "
                    f"machine, the last with: {_ends(attempt.broke)}; mend that and start it again "
                    f"(--max-failures 0 never stops); logs are in {self.folder.path}"
                )

    def _rest(self, error: str) -> None:
        """Leaves trials to others for a while: it would go through all of them and run none."""
        pause = min(LONGEST_REST_S, REST_S * 2.0 ** min(self.broken - FAILURES_IN_A_ROW, 30))
        structlog.get_logger().error(
            f"{self.broken} runs in a row broke on this machine: no more trials are taken for "
            f"{pause:g} s",
            worker=self.name,
            last=_ends(error),
        )
        self.signals.sleep(pause)

    def _ask(self) -> NextAnswer | None:
        """The next leased trial; None when there is no more work and the worker may end."""
        log = structlog.get_logger().bind(worker=self.name)
        began = time.monotonic()
        while True:
            if self.signals.came:
                raise Stopped
            if not self._has_time():
                return None
            wanted = self._wanted_bytes()
            free = self.folder.make_room(wanted, is_idle=True)
            if free < wanted:
                log.error(
                    "no room for a run",
                    folder=str(self.folder.path),
                    free_gb=round(free / 1e9, 1),
                    wanted_gb=round(wanted / 1e9, 1),
                )
                self.signals.sleep(ROOM_AGAIN_S)
                continue
            try:
                answer = self.client.next(
                    NextRequest(
                        worker=self.name,
                        study=self.study,
                        gpus=self.setting.n_gpus,
                        channels=["full"] if self.setting.store is None else ["full", "merged"],
                        capabilities=self.capabilities,
                    )
                )
            except ServiceUnreachable as error:
                log.warning("service unreachable", error=str(error))
                self.signals.sleep(ASK_AGAIN_S)
                continue
            if answer.trial is not None:
                self.reason = None
                return answer
            if self.until_done and answer.retry_after_s is None:
                log.info("no more work", reason=answer.reason)
                self.reason = answer.reason
                return None
            left_s = math.inf
            if self.idle_after_s is not None:
                left_s = self.idle_after_s - (time.monotonic() - began)
            if left_s <= 0:
                log.info("idle", after_s=self.idle_after_s, reason=answer.reason)
                self.reason = answer.reason
                return None
            self._say_why_it_waits(answer.reason)
            self.signals.sleep(min(answer.retry_after_s or ASK_AGAIN_S, left_s))

    def _has_time(self) -> bool:
        """Whether a trial could come to where it may stop before the machine is taken away."""
        deadline = self.setting.deadline
        if deadline is None or deadline.has_time_for_a_trial(self.setting.grace_s):
            return True
        left, needs = round(deadline.left_s), round(deadline.needs_s)
        self.reason = f"{left} s are left here, and a trial needs {needs} s to where it may stop"
        structlog.get_logger().info("no time for another trial", worker=self.name, why=self.reason)
        return False

    def _wanted_bytes(self) -> int:
        """What must be free on the disk before a trial is asked for."""
        if self.min_free_bytes is not None:
            return self.min_free_bytes
        return max(FREE_BYTES, self.needed_bytes)

    def _say_why_it_waits(self, reason: str | None) -> None:
        """Once for each reason, apart from its numbers, which change all the time."""
        if _without_numbers(reason) != _without_numbers(self.reason):
            structlog.get_logger().info("waiting", worker=self.name, reason=reason)
        self.reason = reason


def _ends(error: str) -> str:
    """What an error begins and ends with: what it is, and what was said last."""
    lines = error.strip().splitlines() or [""]
    if len(lines) == 1 or lines[0].startswith("Traceback"):
        return lines[-1]
    return f"{lines[0]} … {lines[-1]}"


def _without_numbers(reason: str | None) -> str:
    return re.sub(r"\d+", "", reason or "")
