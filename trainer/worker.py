"""The worker daemon: leases a trial, has it trained, posts the result, again."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

import structlog

from service.schemas import NextAnswer, NextRequest
from trainer.attempt import Attempt
from trainer.client import Client, ServiceUnreachable
from trainer.signals import Signals, Stopped

log = structlog.get_logger()

ASK_AGAIN_S = 5.0
"""Pause before asking again when the service does not say or cannot be reached."""


def default_name() -> str:
    """Host, process and a random part: two workers are never taken for one."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


@dataclass(slots=True)
class Worker:
    """Works until stopped.

    Attributes:
        study: only take trials of this study; None takes any.
        max_trials: stop after so many trials; None goes on.
        until_done: stop when the service says there is nothing more to come.
        data: folder of prepared datasets, which recipes name by their place in it.
    """

    client: Client
    name: str
    signals: Signals
    study: str | None = None
    max_trials: int | None = None
    until_done: bool = False
    data: Path = Path()

    def run(self) -> None:
        """Takes trials one by one; returns on a signal or when its work is over.

        Raises:
            ServiceError: the service refuses this worker (unknown study, wrong key).
        """
        done = 0
        log.info("worker started", worker=self.name, service=self.client.url)
        try:
            while self.max_trials is None or done < self.max_trials:
                answer = self._ask()
                if answer is None:
                    break
                Attempt(self.client, answer, self.signals, self.data).run()
                done += 1
        except Stopped:
            log.info("worker stopped by a signal", worker=self.name)

    def _ask(self) -> NextAnswer | None:
        """The next leased trial; None when there is no more work and the worker may end."""
        while True:
            if self.signals.came:
                raise Stopped
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
