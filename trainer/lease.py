"""A worker's right to one trial: kept by heartbeats, ended by a result, a failure or a release."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

import structlog

from service.schemas import (
    MAX_METRICS,
    MAX_POINTS,
    CurvePoint,
    Failure,
    Heartbeat,
    Measurement,
    MeasurementsRequest,
    NextAnswer,
    Release,
    Result,
    Trial,
)
from trainer.client import HEARTBEAT_PATIENCE_S, Client, ServiceError, ServiceUnreachable
from trainer.job import Progress

HEARTBEATS_PER_LEASE = 3
MIN_BEAT_S = 0.2
REPORT_EVERY_S = 3.0
"""Heartbeats also carry progress to people, so they do not wait for a long lease to pass."""

MAX_ERROR = 4000
"""Characters of an error that are kept: its end, where the cause stands."""
MAX_UNSENT = 20_000
"""Points kept for a service that is away, the newest."""
_IS_LOST = (404, 409)


class LeaseLost(Exception):  # noqa: N818 - it is a state, not a mistake
    """The trial is another worker's now, or nobody's."""


class TrialCancelled(Exception):  # noqa: N818
    """Nobody wants the trial any more."""


@dataclass(slots=True)
class HeldLease:
    """What a worker may say of a trial for as long as it holds it.

    Attributes:
        next_beat: when a heartbeat is due, by the monotonic clock.
    """

    client: Client
    trial: Trial
    token: str
    duration_s: float
    next_beat: float = field(init=False)
    _unsent: deque[CurvePoint] = field(init=False)

    def __post_init__(self) -> None:
        self._unsent = deque(maxlen=MAX_UNSENT)
        self._beat_later()

    @classmethod
    def of(cls, client: Client, answer: NextAnswer) -> HeldLease:
        """The lease that an answer of `POST /trials/next` gives.

        Raises:
            ValueError: it gives none.
        """
        if answer.trial is None or answer.lease is None:
            raise ValueError(f"the service gave no trial: {answer.reason}")
        return cls(client, answer.trial, answer.lease.token, answer.lease.duration_s)

    def note(self, step: int, metrics: dict[str, float]) -> None:
        """A point of the learning curve, for the next heartbeat."""
        finite = _finite(metrics)
        if finite:
            self._unsent.append(CurvePoint(step=step, metrics=finite))

    def extend(
        self, progress: Progress | None = None, metrics: dict[str, float] | None = None
    ) -> None:
        """Extends the lease and reports progress.

        Raises:
            LeaseLost, TrialCancelled: the run is to be stopped.
            ServiceUnreachable: the lease lasts as long as it did.
            ServiceError: refused for another reason.
        """
        self._beat_later()
        points = list(islice(self._unsent, MAX_POINTS))
        body = Heartbeat(
            token=self.token,
            step=None if progress is None else progress.step,
            total_steps=None if progress is None else progress.total_steps,
            metrics=_finite(metrics or {}),
            points=points,
        )
        try:
            answer = self.client.heartbeat(self.trial.id, body)
        except ServiceError as error:
            if error.status in _IS_LOST:
                raise LeaseLost(error.detail) from error
            raise
        if answer.cancel:
            raise TrialCancelled
        for _ in points:
            self._unsent.popleft()
        self.duration_s = answer.duration_s
        self._beat_later()

    def beat(self, progress: Progress | None, metrics: dict[str, float]) -> None:
        """A heartbeat of a run that goes on whether the service hears it or not.

        Raises:
            LeaseLost, TrialCancelled: the run is to be stopped.
        """
        try:
            self.extend(progress, metrics)
        except ServiceUnreachable as error:
            self._log.warning("service unreachable, training on", error=str(error))
        except ServiceError as error:
            self._log.warning("heartbeat refused, training on", error=error.detail)

    def measurements(self, measurements: list[Measurement]) -> None:
        """Scores of a checkpoint on the way. They come again with the result, so none is lost."""
        body = MeasurementsRequest(token=self.token, measurements=measurements)
        try:
            self.client.measurements(self.trial.id, body, patience_s=HEARTBEAT_PATIENCE_S)
        except (ServiceError, ServiceUnreachable) as error:
            self._log.warning("scores on the way not taken", error=str(error))

    def finish(self, result: Result) -> bool:
        """Delivers a result; False when the service did not hear it."""
        return self._last_word("result", lambda: self.client.result(self.trial.id, result))

    def fail(self, error: str, *, retryable: bool) -> None:
        """Ends the attempt with what went wrong."""
        # What a crash prints may be anything; the service stores only proper text.
        error = error.encode(errors="replace").decode().replace("\0", "?")
        error = error if len(error) <= MAX_ERROR else f"{error[:200]} … {error[-MAX_ERROR + 210 :]}"
        body = Failure(token=self.token, error=error, retryable=retryable)
        self._log.error("run failed", error=error)
        self._last_word("failure", lambda: self.client.failure(self.trial.id, body))

    def release(self, reason: str) -> None:
        """Hands the trial back; nothing counts against it."""
        body = Release(token=self.token, reason=reason)
        self._last_word("release", lambda: self.client.release(self.trial.id, body))

    def _last_word(self, what: str, say: Callable[[], object]) -> bool:
        """Ends the attempt at the service; False when the service did not hear it.

        A refusal (the lease was lost meanwhile) is the service's to judge: it keeps the scores.
        """
        with suppress(LeaseLost, TrialCancelled, ServiceError, ServiceUnreachable):
            while self._unsent:
                self.extend()
        try:
            say()
        except ServiceError as error:
            self._log.warning(f"{what} not taken", error=error.detail)
        except ServiceUnreachable as error:
            self._log.error(f"{what} not delivered", error=str(error))
            return False
        else:
            self._log.info(f"{what} delivered")
        return True

    def beat_soon(self) -> None:
        """Makes a heartbeat due: there is something that should not wait for the next one."""
        self.next_beat = time.monotonic()

    def _beat_later(self) -> None:
        pause = max(MIN_BEAT_S, min(self.duration_s / HEARTBEATS_PER_LEASE, REPORT_EVERY_S))
        self.next_beat = time.monotonic() + pause

    @property
    def _log(self) -> structlog.stdlib.BoundLogger:
        log: structlog.stdlib.BoundLogger = structlog.get_logger()
        return log.bind(study=self.trial.study, trial=self.trial.number)


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    """The last metrics that are numbers: a diverged loss is left out, not the whole report."""
    finite = [(name, value) for name, value in metrics.items() if math.isfinite(value)]
    return dict(finite[-MAX_METRICS:])
