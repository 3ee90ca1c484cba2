"""Heartbeats of the workers of one process: those that are due together go as one call.

A machine with eight GPUs may hold eight trials; the service is then asked one time and not eight.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from concurrent.futures import Future

from service.client import Client, ServiceError, ServiceUnreachable
from service.schemas import (
    MAX_BEATS,
    Heartbeat,
    HeartbeatAnswer,
    HeartbeatsRequest,
    TrialHeartbeat,
)

GATHER_S = 0.1
"""How long the first waits for the others."""

FEW_POINTS = 50
"""Of learning curves; a heartbeat with more, after the service was away, is a call of its own."""

_Waiting = tuple[TrialHeartbeat, "Future[HeartbeatAnswer]"]


class Beats:
    """What sends the heartbeats of `n` workers, each of which calls from a thread of its own."""

    def __init__(self, n: int, gather_s: float = GATHER_S) -> None:
        self._n, self._gather_s = n, gather_s
        self._lock = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._is_offered = True
        """Whether the service takes several in one call; those of before do not."""

    def slot(self, now: float, pause_s: float) -> float:
        """When the next heartbeat is due, at most `pause_s` from now: at the same moments for all
        workers that pause as long."""
        return (math.floor(now / pause_s) + 1) * pause_s

    def send(self, client: Client, trial: int, beat: Heartbeat) -> HeartbeatAnswer:
        """Sends a heartbeat, with those that others send in the same moment.

        Raises:
            ServiceError: it was refused.
            ServiceUnreachable: nobody answered.
        """
        if not self._is_offered or len(beat.points) > FEW_POINTS:
            return client.heartbeat(trial, beat)
        mine: Future[HeartbeatAnswer] = Future()
        named = TrialHeartbeat.model_construct(trial=trial, **dict(beat))
        together: list[_Waiting] = []
        with self._lock:
            self._waiting.append((named, mine))
            if len(self._waiting) == 1:
                self._lock.wait_for(lambda: len(self._waiting) >= self._n, self._gather_s)
                together, self._waiting = self._waiting, together
            else:
                self._lock.notify()
        for i in range(0, len(together), MAX_BEATS):
            self._call(client, together[i : i + MAX_BEATS])
        return mine.result()

    def _call(self, client: Client, together: Sequence[_Waiting]) -> None:
        """Sends them, and answers each."""
        try:
            outcomes = client.heartbeats(HeartbeatsRequest(beats=[beat for beat, _ in together]))
            if len(outcomes) != len(together):
                raise ServiceUnreachable(
                    f"{len(outcomes)} of {len(together)} heartbeats were answered"
                )
        except BaseException as error:
            # Also what ends this thread: the others must not wait for it.
            code = error.code if isinstance(error, ServiceError) else ""
            self._is_offered = self._is_offered and code != "not-found"
            for beat, answer in together:
                # Of a body that is refused as a whole each may be right by itself.
                if code in ("not-found", "body-too-large", "invalid-request"):
                    self._alone(client, beat, answer)
                else:
                    answer.set_exception(error)
        else:
            for (_, answer), outcome in zip(together, outcomes, strict=True):
                if outcome.answer is not None:
                    answer.set_result(outcome.answer)
                else:
                    refused = ServiceError(outcome.status, outcome.code, outcome.detail)
                    answer.set_exception(refused)

    @staticmethod
    def _alone(client: Client, beat: TrialHeartbeat, answer: Future[HeartbeatAnswer]) -> None:
        try:
            fields = dict(beat)
            answer.set_result(client.heartbeat(fields.pop("trial"), Heartbeat(**fields)))
        except BaseException as error:
            answer.set_exception(error)
