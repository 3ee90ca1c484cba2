"""A worker's right to one trial: kept by heartbeats, ended by a result, a failure or a release."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import ClassVar, Literal

import structlog

from service.client import HEARTBEAT_PATIENCE_S, Client, ServiceError, ServiceUnreachable
from service.schemas import (
    MAX_METRICS,
    MAX_POINTS,
    CurvePoint,
    Failure,
    Heartbeat,
    Measurement,
    MeasurementsRequest,
    NextAnswer,
    Partial,
    Release,
    Result,
    Trial,
)
from trainer.job import Progress
from trainer.worker.beats import Beats

Cause = Literal["stopped", "environment"]

HEARTBEATS_PER_LEASE = 3
"""At least, whatever the service says: it may be away for one or two."""

MAX_ERROR = 4000
"""Characters of an error that are kept: its end, where the cause stands."""
MAX_UNSENT = 20_000
"""Points kept for a service that is away, the newest."""
_IS_LOST = ("lease-lost", "trial-not-found")
_IS_KEPT = ("lease-lost", "result-conflict")
"""Refusals of a result that say that its scores were kept as a replicate."""


class Verdict(Enum):
    """What became of a result that was sent."""

    TAKEN = "the service has it, as the trial's own or as a replicate"
    UNHEARD = "the service did not hear it"
    BARRED = "the service takes no result just now, or none from this worker"
    REFUSED = "the service will never take it as it is"


class LeaseLost(Exception):  # noqa: N818 - it is a state, not a mistake
    """The trial is another worker's now, or queued again."""


class TrialCancelled(Exception):  # noqa: N818
    """The trial was called off."""


@dataclass(slots=True)
class HeldLease:
    """What a worker may say of a trial for as long as it holds it.

    Attributes:
        heartbeat_s: between heartbeats, as the service wants it.
        beats: what sends them together with those of others; None sends them by themselves.
        next_beat: when a heartbeat is due, by the monotonic clock.
        least_pause_s: between heartbeats that are due by themselves.
        action, reason: what the run is to do at its next evaluation point, and why.
        state: what became of the trial after `leave`.
    """

    least_pause_s: ClassVar[float] = 0.2

    client: Client
    trial: Trial
    token: str
    duration_s: float
    heartbeat_s: float = 3.0
    beats: Beats | None = None
    next_beat: float = field(init=False)
    action: Literal["continue", "pause", "stop"] = field(default="continue", init=False)
    reason: str = field(default="", init=False)
    state: str = field(default="running", init=False)
    _unsent: deque[CurvePoint] = field(init=False)

    def __post_init__(self) -> None:
        self._unsent = deque(maxlen=MAX_UNSENT)
        self._beat_later()

    @classmethod
    def of(cls, client: Client, answer: NextAnswer, beats: Beats | None = None) -> HeldLease:
        """The lease that an answer of `POST /trials/next` gives.

        Raises:
            ValueError: it gives none.
        """
        if answer.trial is None or answer.lease is None:
            raise ValueError(f"the service gave no trial: {answer.reason}")
        lease = answer.lease
        return cls(client, answer.trial, lease.token, lease.duration_s, lease.heartbeat_s, beats)

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
            if self.beats is None:
                answer = self.client.heartbeat(self.trial.id, body)
            else:
                answer = self.beats.send(self.client, self.trial.id, body)
        except ServiceError as error:
            if error.code in _IS_LOST:
                raise LeaseLost(error.detail) from error
            raise
        if answer.cancel:
            raise TrialCancelled
        for _ in points:
            self._unsent.popleft()
        self.duration_s, self.heartbeat_s = answer.duration_s, answer.heartbeat_s
        self.action, self.reason = answer.action, answer.reason
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

    def finish(self, result: Result) -> tuple[Verdict, str]:
        """Delivers a result; what became of it, and what the service said."""
        self._tell_the_rest()
        try:
            self.client.result(self.trial.id, result)
        except ServiceUnreachable as error:
            self._log.error("result not delivered", error=str(error))
            return Verdict.UNHEARD, str(error)
        except ServiceError as error:
            return _verdict(error), f"{error.status} {error.code}: {error.detail}"
        self._log.info("result delivered")
        return Verdict.TAKEN, ""

    def fail(self, error: str, *, retryable: bool) -> bool:
        """Ends the attempt with what went wrong; False when the service did not hear it."""
        error = _proper(error)
        body = Failure(token=self.token, error=error, retryable=retryable)
        self._log.error("run failed", error=error)
        return self._last_word("failure", lambda: self.client.failure(self.trial.id, body))

    def release(self, reason: str, cause: Cause = "stopped") -> bool:
        """Hands the trial back, with nothing counted against it; False when the service did not
        hear it."""
        body = Release(token=self.token, reason=_proper(reason), cause=cause)
        return self._last_word("release", lambda: self.client.release(self.trial.id, body))

    def leave(self, step: int, measurements: list[Measurement]) -> bool:
        """Ends the attempt at a step that there is a checkpoint of; False when the service did not
        hear it. `state` then says whether someone may go on from there."""
        body = Partial(token=self.token, step=step, measurements=measurements)

        def say() -> None:
            self.state = self.client.partial(self.trial.id, body).state

        return self._last_word("pause", say)

    def _last_word(self, what: str, say: Callable[[], object]) -> bool:
        """Ends the attempt at the service; False when the service did not hear it.

        A refusal (the lease was lost meanwhile) is the service's to judge.
        """
        self._tell_the_rest()
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

    def _tell_the_rest(self) -> None:
        """The steps that are still to be sent; what comes after does not depend on them."""
        with suppress(LeaseLost, TrialCancelled, ServiceError, ServiceUnreachable):
            while self._unsent:
                self.extend()

    def beat_soon(self) -> None:
        """Makes a heartbeat due: there is something that should not wait for the next one."""
        self.next_beat = time.monotonic()

    def _beat_later(self) -> None:
        regular = min(self.duration_s / HEARTBEATS_PER_LEASE, self.heartbeat_s)
        now, pause_s = time.monotonic(), max(self.least_pause_s, regular)
        self.next_beat = now + pause_s if self.beats is None else self.beats.slot(now, pause_s)

    @property
    def _log(self) -> structlog.stdlib.BoundLogger:
        log: structlog.stdlib.BoundLogger = structlog.get_logger()
        return log.bind(study=self.trial.study, trial=self.trial.number)


def _verdict(error: ServiceError) -> Verdict:
    """What a refusal of a result means for it."""
    if error.status == 409 and error.code in _IS_KEPT:
        return Verdict.TAKEN
    if error.status in (400, 409, 413, 422):
        return Verdict.REFUSED
    return Verdict.BARRED


def _proper(text: str) -> str:
    """A text as the service stores it: what a crash prints may be anything."""
    text = text.encode(errors="replace").decode().replace("\0", "?")
    return text if len(text) <= MAX_ERROR else f"{text[:200]} … {text[-MAX_ERROR + 210 :]}"


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    """The last metrics that are numbers: a diverged loss is left out, not the whole report."""
    finite = [(name, value) for name, value in metrics.items() if math.isfinite(value)]
    return dict(finite[-MAX_METRICS:])
