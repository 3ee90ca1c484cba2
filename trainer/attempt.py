"""One lease on one trial: the run under it, the heartbeats, and how it ends.

The attempt waits on its child's messages, on signals and on the next heartbeat at once, so the
lease is kept alive whatever the child is busy with. Only a finished run's result is waited for
without end: a score is worth more than the worker's time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path

import structlog

from service.schemas import Failure, Heartbeat, NextAnswer, Release, Result
from trainer.child import Child
from trainer.client import Client, ServiceError, ServiceUnreachable
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


class Attempt:
    """Trains one leased trial.

    Args:
        answer: an answer of `POST /trials/next` that holds a trial.
        data: folder of prepared datasets.
    """

    def __init__(
        self, client: Client, answer: NextAnswer, signals: Signals, data: Path = Path()
    ) -> None:
        if answer.trial is None or answer.lease is None:
            raise ValueError(f"the service gave no trial: {answer.reason}")
        self._client, self._signals = client, signals
        self._trial, self._lease = answer.trial, answer.lease
        self._raw_recipe = answer.recipe or {}
        self._data = data
        self._progress: Progress | None = None
        self._metrics: dict[str, float] = {}
        self._log = structlog.get_logger().bind(study=self._trial.study, trial=self._trial.number)

    def run(self) -> None:
        """Trains, keeps the lease alive, and ends with a result, a failure or a release.

        Raises:
            Stopped: a signal came; the trial was handed back.
        """
        try:
            recipe = Recipe.parse(self._raw_recipe)
        except RecipeError as error:
            self._fail(str(error), retryable=False)
            return
        self._log.info("run started", mixture=self._trial.mixture, seed=self._trial.seed)
        child = Child(Job(self._trial.mixture, recipe, self._trial.seed, self._data))
        try:
            self._follow(child)
        finally:
            child.stop()

    def _follow(self, child: Child) -> None:
        next_beat = time.monotonic() + _beat_every(self._lease.duration_s)
        while True:
            pause = max(0.0, next_beat - time.monotonic())
            ready = wait([child.messages, self._signals.descriptor], timeout=pause)
            if self._signals.came:
                self._release("the worker was asked to stop")
                raise Stopped
            if child.messages in ready and self._take_message(child):
                return
            if time.monotonic() >= next_beat:
                duration_s = self._beat()
                if duration_s is None:
                    return
                next_beat = time.monotonic() + _beat_every(duration_s)

    def _take_message(self, child: Child) -> bool:
        """Handles one message of the child; True when the attempt is over."""
        try:
            message = child.messages.recv()
        except EOFError:
            self._fail(child.exit_reason(), retryable=True)
            return True
        match message:
            case Progress():
                self._progress = message
                self._metrics |= _finite(message.metrics)
                return False
            case Outcome():
                self._beat()  # the last progress, which the result does not carry
                self._post_result(message)
            case Crash():
                self._fail(message.error, retryable=True)
        return True

    def _beat(self) -> float | None:
        """Extends the lease and reports progress.

        Returns:
            Seconds the lease now lasts, as far as known; None when it is lost or cancelled.
        """
        now = self._progress
        body = Heartbeat(
            token=self._lease.token,
            step=now.step if now else None,
            total_steps=now.total_steps if now else None,
            metrics=self._metrics,
        )
        try:
            answer = self._client.heartbeat(self._trial.id, body)
        except ServiceUnreachable as error:
            self._log.warning("service unreachable, training on", error=str(error))
            return self._lease.duration_s
        except ServiceError as error:
            if error.status not in LEASE_IS_LOST:
                self._log.warning("heartbeat refused, training on", error=error.detail)
                return self._lease.duration_s
            self._log.warning("lease lost, run stopped", error=error.detail)
            return None
        if answer.cancel:
            self._log.info("trial cancelled, run stopped")
            return None
        return answer.duration_s

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
        trial_id = self._trial.id
        try:
            while not self._last_word("result", lambda: self._client.result(trial_id, result)):
                self._signals.sleep(RESULT_AGAIN_S)
        except Stopped:
            self._keep(result)
            raise

    def _keep(self, result: Result) -> None:
        """Leaves an undelivered result where a person finds it: its scores cost a whole run."""
        path = Path(f"undelivered-{self._trial.study}-trial-{self._trial.id}.json").resolve()
        path.write_text(result.model_dump_json(indent=1))
        self._log.error("stopped with the result undelivered; its scores are kept", file=str(path))

    def _fail(self, error: str, *, retryable: bool) -> None:
        # What a crash prints may be anything; the service stores only proper text.
        error = error.encode(errors="replace").decode().replace("\0", "?")[-MAX_ERROR:]
        body = Failure(token=self._lease.token, error=error, retryable=retryable)
        self._log.error("run failed", error=error)
        self._last_word("failure", lambda: self._client.failure(self._trial.id, body))

    def _release(self, reason: str) -> None:
        body = Release(token=self._lease.token, reason=reason)
        self._last_word("release", lambda: self._client.release(self._trial.id, body))

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


def _beat_every(lease_s: float) -> float:
    return max(MIN_BEAT_S, min(lease_s / HEARTBEATS_PER_LEASE, REPORT_EVERY_S))


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    """The metrics that are numbers: a diverged loss is left out rather than the whole report."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
