"""One try at one trial: the run under a lease, and how it ends.

The attempt waits on its child's messages, on signals and on the next heartbeat at once, so the
lease is kept alive whatever the child is busy with. Only a finished run's result is waited for
without end: a score is worth more than the worker's time. What is owed to the service stands on
disk, so that a worker that was killed settles it when it starts again.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import structlog

from service.schemas import NextAnswer, Result
from trainer.child import Child, Message
from trainer.client import Client, ServiceError, ServiceUnreachable
from trainer.folders import TrialFolder
from trainer.gpus import Gpus, GpuUse, metrics
from trainer.job import TRAIN, Crash, Halted, Job, Outcome, Progress
from trainer.keeper import Keeper
from trainer.lease import HeldLease, LeaseLost, TrialCancelled
from trainer.recipe import Recipe, RecipeError
from trainer.signals import Signals, Stopped
from trainer.store import Store

RESULT_AGAIN_S = 5.0
FORGET_S = 10.0
OUT_OF_MEMORY = ("OutOfMemoryError", "CUDA out of memory", "MemoryError")
DISK_IS_FULL = "No space left on device"


@dataclass(frozen=True, slots=True)
class Setting:
    """What an attempt has of this machine.

    Attributes:
        data: folder of prepared datasets.
        commands: folder of the executables that recipes of back end `command` may name.
        devices: the CUDA devices a run may see, such as `0,1`; None leaves them as they are.
        gpus: what tells of their use.
        stalled_s: a run that reports nothing for so long is taken to hang, and is stopped.
        grace_s: time that a run has for its checkpoint when the worker is asked to stop.
        store: where runs are kept for other nodes; None keeps them here only.
    """

    data: Path = Path()
    commands: Path | None = None
    devices: str | None = None
    gpus: Gpus = field(default_factory=Gpus)
    stalled_s: float = 3600.0
    grace_s: float = 60.0
    store: Store | None = None


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
        self._lease = HeldLease.of(client, answer)
        self._answer, self.trial = answer, self._lease.trial
        self._signals, self._folder, self._setting = signals, folder, setting
        self.started = time.monotonic()
        self.progress: Progress | None = None
        self.metrics: dict[str, float] = {}
        self.gpus: list[GpuUse] = []
        self._keeper: Keeper | None = None
        if setting.store is not None:
            stored = setting.store.of(self.trial.study, self.trial.id)
            self._keeper = Keeper(stored, folder)
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
                self._lease.extend()
            except ServiceUnreachable as error:
                self._log.warning("service unreachable", error=str(error))
                self._signals.sleep(RESULT_AGAIN_S)
            except (LeaseLost, ServiceError) as lost:
                self._log.info("an unfinished trial is not this worker's", reason=str(lost))
                self._folder.settle(is_over=False)
                return
            except TrialCancelled:
                self._log.info("an unfinished trial was cancelled")
                self._folder.settle(is_over=True)
                return
            else:
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
        if recipe.backend == "command":
            self._keeper = None  # what lies in its folder is known to its trainer only
        try:
            self._fetch(job)
            child = self._start(job)
            try:
                self._follow(child)
            finally:
                child.stop()
        except LeaseLost as lost:
            self._log.warning("lease lost, run stopped", error=str(lost))
            self._folder.settle(is_over=False)
        except TrialCancelled:
            self._log.info("trial cancelled, run stopped")
            self._over()

    def _start(self, job: Job) -> Child:
        """Starts the run. The lease is kept meanwhile: the first one waits for its libraries."""
        devices = self._setting.devices
        processes = 1 if devices is None or job.recipe.backend == "command" else n_devices(devices)
        with ThreadPoolExecutor(1) as pool:
            starting = pool.submit(Child, job, self._folder.log, devices, processes)
            try:
                while not wait([starting], self._lease.next_beat - time.monotonic()).done:
                    self._lease.beat(None, {})
            except (LeaseLost, TrialCancelled):
                starting.result().stop()
                raise
        return starting.result()

    def _fetch(self, job: Job) -> None:
        """Takes over what another node has kept of the trial, where that is further."""
        if self._keeper is None:
            return
        self._keeper.fetch(job)
        if self._wait_for_keeper():
            self._keeper.adopt()
        if self._signals.came:
            self._release("the worker was asked to stop")

    def _wait_for_keeper(self, until: float | None = None) -> bool:
        """Keeps the lease while the store is at work, until then or for as long as a run may be
        silent; a signal leaves it the grace time. Whether it has ended."""
        assert self._keeper is not None  # noqa: S101
        until = time.monotonic() + self._setting.stalled_s if until is None else until
        is_stopping = self._signals.came
        while self._keeper.is_busy:
            if self._signals.came and not is_stopping:
                until, is_stopping = min(until, time.monotonic() + self._setting.grace_s), True
            now = time.monotonic()
            if now >= until:
                self._log.warning("the store takes too long and is not waited for")
                return False
            if now >= self._lease.next_beat:
                self._lease.beat(self.progress, self.metrics)
            self._keeper.join(min(self._lease.next_beat, until) - now)
        return True

    def _follow(self, child: Child) -> None:
        stalled = time.monotonic() + self._setting.stalled_s
        patience: float | None = None  # until when a run that was asked to stop is waited for
        while True:
            if self._signals.came and patience is None:
                self._log.info("stopping: waiting for a checkpoint", grace_s=self._setting.grace_s)
                patience = time.monotonic() + self._setting.grace_s
                child.halt()
            ends = stalled if patience is None else patience
            pause = max(0.0, min(self._lease.next_beat, ends) - time.monotonic())
            others = [self._signals.descriptor] if patience is None else []
            message = child.hear(pause, *others)
            if message is not None:
                stalled = time.monotonic() + self._setting.stalled_s
                if self._take(message, patience):
                    return
            now = time.monotonic()
            if patience is not None and now >= patience:
                self._release("the worker was asked to stop, and a step took longer than its grace")
            if now >= stalled:
                self._fail(self._stall(), retryable=True)
                return
            if now >= self._lease.next_beat:
                self._lease.beat(self.progress, self.metrics)

    def _stall(self) -> str:
        where = "before its first step"
        if self.progress is not None:
            where = f"in {self.progress.stage!r} at step {self.progress.step}"
        return f"the run made no progress for {self._setting.stalled_s:g} s {where}; it was stopped"

    def _take(self, message: Message, patience: float | None) -> bool:
        """Handles one message of the run; True when the attempt is over.

        Args:
            patience: until when the store is waited for, of a worker that stops.
        """
        match message:
            case Progress():
                self._note(message)
                if self._keeper is not None:
                    self._keeper.look()
                if message.measurements:
                    self._lease.measurements(message.measurements)
                return False
            case Outcome():
                self._post_result(message, patience)
            case Crash():
                self._fail(cause_first(message.error), retryable=True)
            case Halted():
                at = "" if message.step is None else f" at step {message.step}"
                if self._keeper is not None and self._wait_for_keeper(patience):
                    self._keeper.look()
                    self._wait_for_keeper(patience)
                self._release(f"the worker was asked to stop; the run halted{at}")
        return True

    def _note(self, progress: Progress) -> None:
        if progress.step and not (self.progress and self.progress.step):
            self._lease.beat_soon()  # people wait to see that it trains
        self.progress, self.gpus = progress, self._setting.gpus.read()
        use = metrics(self.gpus)
        self.metrics |= progress.metrics | use
        for step, before in progress.past.items():
            self._lease.note(step, before)
        if progress.stage == TRAIN and progress.metrics:
            self._lease.note(progress.step, progress.metrics | use)

    def _post_result(self, outcome: Outcome, patience: float | None) -> None:
        artifacts: dict[str, Any] = {
            "steps": outcome.steps,
            "exhausted": outcome.exhausted,
            "samples": dict(outcome.counts),
        }
        result = Result(
            token=self._lease.token,
            measurements=outcome.measurements,
            artifacts=artifacts,
            wall_s=outcome.wall_s,
        )
        self._folder.keep(result)
        # Whoever has the trial now, what the run has found is told.
        with suppress(LeaseLost, TrialCancelled):
            # The last progress, which the result does not carry.
            self._lease.beat(self.progress, self.metrics)
            if self._keeper is not None and self._wait_for_keeper(patience):
                self._keeper.publish(outcome.steps)
                self._wait_for_keeper(patience)
                result = result.model_copy(update={"artifacts": artifacts | self._keeper.urls})
                self._folder.keep(result)
        self._deliver(result)

    def _deliver(self, result: Result) -> None:
        """Tries for as long as it takes; a result that a signal cuts off is kept on disk."""
        try:
            while not self._lease.finish(result):
                self._signals.sleep(RESULT_AGAIN_S)
        except Stopped:
            self._log.warning(
                "stopped with the result undelivered; the next worker in this folder delivers it",
                folder=str(self._folder.path),
            )
            raise
        self._over()

    def _fail(self, error: str, *, retryable: bool) -> None:
        self._lease.fail(error, retryable=retryable)
        if retryable:
            self._folder.settle(is_over=False)
        else:
            self._over()

    def _over(self) -> None:
        """Nobody will go on with the trial."""
        self._folder.settle(is_over=True)
        if self._keeper is not None:
            self._keeper.forget()
            self._keeper.join(FORGET_S)

    def _release(self, reason: str) -> NoReturn:
        self._lease.release(reason)
        self._folder.settle(is_over=False)
        raise Stopped


def n_devices(devices: str) -> int:
    """How many CUDA devices a list like `0,1` names."""
    return devices.count(",") + 1


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
