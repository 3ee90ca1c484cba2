"""One lease on one trial: the run under it, the heartbeats, and how it ends.

The attempt waits on its child's messages, on signals and on the next heartbeat at once, so the
lease is kept alive whatever the child is busy with. Only a finished run's result is waited for
without end: a score is worth more than the worker's time. What is owed to the service stands on
disk, so that a worker that was killed settles it when it starts again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

import structlog

from service.schemas import (
    Failure,
    Heartbeat,
    Measurement,
    MeasurementsRequest,
    NextAnswer,
    Release,
    Result,
)
from trainer.child import Child
from trainer.client import HEARTBEAT_PATIENCE_S, Client, ServiceError, ServiceUnreachable
from trainer.folders import TrialFolder
from trainer.job import Crash, Job, Outcome, Progress
from trainer.recipe import Recipe, RecipeError
from trainer.signals import Signals, Stopped

HEARTBEATS_PER_LEASE = 3
MIN_BEAT_S = 0.2
RESULT_AGAIN_S = 5.0
LEASE_IS_LOST = (404, 409)
MAX_ERROR = 4000
"""Characters of an error that are kept: its end, where the cause stands."""

REPORT_EVERY_S = 3.0
"""Heartbeats also carry progress to people, so they do not wait for a long lease to pass."""

OUT_OF_MEMORY = ("OutOfMemoryError", "CUDA out of memory", "MemoryError")
DISK_IS_FULL = "[Errno 28]"


@dataclass(frozen=True, slots=True)
class Setting:
    """What an attempt has of this machine.

    Attributes:
        data: folder of prepared datasets.
        commands: folder of the executables that recipes of back end `command` may name.
        gpus: the CUDA devices a run may see, such as `0,1`; None leaves them as they are.
        stalled_s: a run that reports nothing for so long is taken to hang, and is stopped.
    """

    data: Path = Path()
    commands: Path | None = None
    gpus: str | None = None
    stalled_s: float = 3600.0


class Attempt:
    """Trains one leased trial.

    Args:
        answer: an answer of `POST /trials/next` that holds a trial.
        folder: where the trial is kept on this machine.
    """

    def __init__(
        self,
        client: Client,
        answer: NextAnswer,
        signals: Signals,
        folder: TrialFolder,
        setting: Setting,
    ) -> None:
        if answer.trial is None or answer.lease is None:
            raise ValueError(f"the service gave no trial: {answer.reason}")
        self._client, self._signals = client, signals
        self._folder, self._setting = folder, setting
        self.trial, self._lease = answer.trial, answer.lease
        self._answer = answer
        self.started = time.monotonic()
        self.progress: Progress | None = None
        self.metrics: dict[str, float] = {}
        self._log = structlog.get_logger().bind(study=self.trial.study, trial=self.trial.number)

    def take_up(self) -> None:
        """Settles what a worker that was killed still owed: delivers its result, or trains on.

        Where the lease was lost meanwhile nothing is done; checkpoints stay for the next one.

        Raises:
            Stopped: a signal came; the trial was handed back.
        """
        result = self._folder.result()
        if result is not None:
            self._log.info("a result is still to be delivered")
            self._deliver(result)
            return
        while True:
            try:
                answer = self._client.heartbeat(self.trial.id, Heartbeat(token=self._lease.token))
            except ServiceUnreachable as error:
                self._log.warning("service unreachable", error=str(error))
                self._signals.sleep(RESULT_AGAIN_S)
                continue
            except ServiceError as error:
                self._log.info("an unfinished trial is another worker's now", reason=error.detail)
                self._folder.settle(is_over=error.status not in LEASE_IS_LOST)
                return
            if answer.cancel:
                self._folder.settle(is_over=True)
                return
            self.run()
            return

    def run(self) -> None:
        """Trains, keeps the lease alive, and ends with a result, a failure or a release.

        Raises:
            Stopped: a signal came; the trial was handed back.
        """
        self._folder.begin(self._answer)
        try:
            recipe = Recipe.parse(self._answer.recipe or {})
        except RecipeError as error:
            self._fail(str(error), retryable=False)
            return
        self._log.info("run started", mixture=self.trial.mixture, seed=self.trial.seed)
        job = Job(
            self.trial.mixture,
            recipe,
            self.trial.seed,
            self._setting.data,
            self._folder.run,
            self._setting.commands,
        )
        child = Child(job, self._folder.log, self._setting.gpus)
        try:
            self._follow(child)
        finally:
            child.stop()

    def _follow(self, child: Child) -> None:
        next_beat = time.monotonic() + _beat_every(self._lease.duration_s)
        stalled = time.monotonic() + self._setting.stalled_s
        while True:
            pause = max(0.0, min(next_beat, stalled) - time.monotonic())
            ready = wait([child.messages, self._signals.descriptor], timeout=pause)
            if self._signals.came:
                self._release("the worker was asked to stop")
                raise Stopped
            if child.messages in ready:
                stalled = time.monotonic() + self._setting.stalled_s
                if self._take_message(child):
                    return
            if time.monotonic() >= stalled:
                self._fail(self._stall(), retryable=True)
                return
            if time.monotonic() >= next_beat:
                duration_s = self._beat()
                if duration_s is None:
                    return
                next_beat = time.monotonic() + _beat_every(duration_s)

    def _stall(self) -> str:
        where = "before its first step"
        if self.progress is not None:
            where = f"in {self.progress.stage!r} at step {self.progress.step}"
        return f"the run made no progress for {self._setting.stalled_s:g} s {where}; it was stopped"

    def _take_message(self, child: Child) -> bool:
        """Handles one message of the child; True when the attempt is over."""
        try:
            message = child.messages.recv()
        except EOFError:
            self._fail(child.exit_reason(), retryable=True)
            return True
        match message:
            case Progress():
                self.progress = message
                self.metrics |= _finite(message.metrics)
                if message.measurements:
                    self._post_measurements(message.measurements)
                return False
            case Outcome():
                self._beat()  # the last progress, which the result does not carry
                self._post_result(message)
            case Crash():
                self._fail(cause_first(message.error), retryable=True)
        return True

    def _beat(self) -> float | None:
        """Extends the lease and reports progress.

        Returns:
            Seconds the lease now lasts, as far as known; None when it is lost or cancelled.
        """
        now = self.progress
        body = Heartbeat(
            token=self._lease.token,
            step=now.step if now else None,
            total_steps=now.total_steps if now else None,
            metrics=self.metrics,
        )
        try:
            answer = self._client.heartbeat(self.trial.id, body)
        except ServiceUnreachable as error:
            self._log.warning("service unreachable, training on", error=str(error))
            return self._lease.duration_s
        except ServiceError as error:
            if error.status not in LEASE_IS_LOST:
                self._log.warning("heartbeat refused, training on", error=error.detail)
                return self._lease.duration_s
            self._log.warning("lease lost, run stopped", error=error.detail)
            self._folder.settle(is_over=False)
            return None
        if answer.cancel:
            self._log.info("trial cancelled, run stopped")
            self._folder.settle(is_over=True)
            return None
        return answer.duration_s

    def _post_measurements(self, measurements: list[Measurement]) -> None:
        """Scores of a checkpoint on the way. They come again with the result, so none is lost."""
        body = MeasurementsRequest(token=self._lease.token, measurements=measurements)
        try:
            self._client.measurements(self.trial.id, body, patience_s=HEARTBEAT_PATIENCE_S)
        except (ServiceError, ServiceUnreachable) as error:
            self._log.warning("scores on the way not taken", error=str(error))

    def _post_result(self, outcome: Outcome) -> None:
        result = Result(
            token=self._lease.token,
            measurements=outcome.measurements,
            artifacts={
                "steps": outcome.steps,
                "exhausted": outcome.exhausted,
                "samples": dict(outcome.counts),
            },
            wall_s=outcome.wall_s,
        )
        self._folder.keep(result)
        self._deliver(result)

    def _deliver(self, result: Result) -> None:
        """Tries for as long as it takes; a result that a signal cuts off is kept on disk."""
        trial_id = self.trial.id
        try:
            while not self._last_word("result", lambda: self._client.result(trial_id, result)):
                self._signals.sleep(RESULT_AGAIN_S)
        except Stopped:
            self._log.warning(
                "stopped with the result undelivered; the next worker in this folder delivers it",
                folder=str(self._folder.path),
            )
            raise
        self._folder.settle(is_over=True)

    def _fail(self, error: str, *, retryable: bool) -> None:
        # What a crash prints may be anything; the service stores only proper text.
        error = error.encode(errors="replace").decode().replace("\0", "?")
        error = error if len(error) <= MAX_ERROR else f"{error[:200]} … {error[-MAX_ERROR + 210 :]}"
        body = Failure(token=self._lease.token, error=error, retryable=retryable)
        self._log.error("run failed", error=error)
        self._last_word("failure", lambda: self._client.failure(self.trial.id, body))
        self._folder.settle(is_over=not retryable)

    def _release(self, reason: str) -> None:
        body = Release(token=self._lease.token, reason=reason)
        self._last_word("release", lambda: self._client.release(self.trial.id, body))
        self._folder.settle(is_over=False)

    def _last_word(self, what: str, say: Callable[[], object]) -> bool:
        """Ends the attempt at the service; False when the service did not hear it.

        A refusal (the lease was lost meanwhile) is the service's to judge: it keeps the scores.
        """
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


def cause_first(error: str) -> str:
    """A traceback, after what people can do about it where that is known."""
    if any(sign in error for sign in OUT_OF_MEMORY):
        return (
            "out of memory: a smaller prompts_per_step, generations or max_completion_tokens, or "
            f"more GPUs a trial, would help\n{error}"
        )
    if DISK_IS_FULL in error:
        return f"no room left on the disk\n{error}"
    return error


def _beat_every(lease_s: float) -> float:
    return max(MIN_BEAT_S, min(lease_s / HEARTBEATS_PER_LEASE, REPORT_EVERY_S))


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    """The metrics that are numbers: a diverged loss is left out rather than the whole report."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
