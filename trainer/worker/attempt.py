"""One try at one trial: the run under a lease. How it ends is in `ending.py`.

The attempt waits on its child's messages, on signals and on the next heartbeat at once, so the
lease is kept alive whatever the child is busy with. What ends an attempt is waited for without end:
a score is worth more than the worker's time. What the service has still to get is on disk, so
that a worker that was killed sends it when it starts again.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from service.client import Client, ServiceError, ServiceUnreachable
from service.schemas import Measurement, NextAnswer, Result
from trainer import troubles
from trainer.job import TRAIN, Crash, Halted, Job, Outcome, Paused, Progress
from trainer.recipe import Recipe, RecipeError
from trainer.storage.run_folder import RunFolder
from trainer.storage.sync import StoreSync
from trainer.storage.work_folder import TrialFolder
from trainer.worker import agreement
from trainer.worker.child import STOP_S, Child, Starting
from trainer.worker.deadline import Pace
from trainer.worker.delivery import RESULT_AGAIN_S, Delivery
from trainer.worker.ending import Ending
from trainer.worker.gpus import GpuUse, metrics
from trainer.worker.lease import HeldLease, LeaseLost, TrialCancelled
from trainer.worker.run_process import Message
from trainer.worker.setting import Setting, n_devices
from trainer.worker.signals import Signals
from trainer.worker.transfers import LOOK_EVERY_S, Transfers
from trainer.worker.warm import Warm


class _RoomMade(Exception):  # noqa: N818 - it is a state of things
    """There is room on the disk now: the run can start again."""


class Attempt:
    """Trains one leased trial.

    Args:
        answer: an answer of `POST /trials/next` that holds a trial.
        folder: where the trial is kept on this machine.
        warm: the process that an earlier attempt left; None keeps none.

    Attributes:
        broke: why it came to nothing, where that may be this machine's fault.
        is_delivered: whether the service has its result, or scores of it when it was ended there.
        needed_bytes: what was to be free on the disk and was not.
    """

    def __init__(
        self,
        client: Client,
        answer: NextAnswer,
        signals: Signals,
        folder: TrialFolder,
        setting: Setting,
        warm: Warm | None = None,
    ) -> None:
        self._lease = HeldLease.of(client, answer, setting.beats)
        self._answer, self.trial = answer, self._lease.trial
        self._signals, self._folder, self._setting = signals, folder, setting
        self.started = time.monotonic()
        self.progress: Progress | None = None
        self.metrics: dict[str, float] = {}
        self.gpus: list[GpuUse] = []
        self._has_scored = False
        self._warm = warm
        self._pace = Pace(setting.deadline)
        self._why_stops = "the worker was asked to stop"
        self.needed_bytes = 0
        self._is_own = False
        self._delivery = Delivery(self._lease, folder, signals)
        sync = None
        if setting.store is not None and answer.merge is None:
            stored = setting.store.of(answer.files_of or self.trial.study, self.trial.id)
            sync = StoreSync(stored, folder)
        self._ending = Ending(self._lease, folder, signals, sync)
        self._transfers = Transfers(self._lease, signals, setting, self._ending, sync, self._beat)
        self._log = structlog.get_logger().bind(study=self.trial.study, trial=self.trial.number)

    @property
    def broke(self) -> str | None:
        return self._ending.broke

    @property
    def is_delivered(self) -> bool:
        return self._ending.is_delivered

    def take_up(self) -> None:
        """Settles what a worker that was killed had left open: delivers its result, or trains on.

        Where the lease was lost meanwhile nothing is done; checkpoints stay for the next one.

        Raises:
            Stopped: a signal came; the trial was handed back.
        """
        result = self._folder.result()
        if result is not None:
            self._log.info("a result is still to be delivered")
            self._hand_in(result)
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
        try:
            self._folder.begin(self._answer)
        except OSError as error:
            self._ending.cannot(f"the trial's folder cannot be written: {error}")
            return
        try:
            recipe = Recipe.parse(self._answer.recipe or {})
        except RecipeError as error:
            self._ending.fail(str(error), retryable=False)
            return
        used = [name for name, weight in self.trial.mixture.items() if weight > 0]
        wrong = agreement.disagreements(recipe, used, self._answer.weighed or ())
        if wrong:
            self._ending.fail(f"recipe: {'; '.join(wrong)}; nothing was trained", retryable=False)
            return
        cannot_merge = self._cannot_merge(recipe)
        if cannot_merge is not None:
            self._ending.fail(cannot_merge, retryable=False)
            return
        self._log.info("run started", mixture=self.trial.mixture, seed=self.trial.seed)
        job = Job(
            self.trial.mixture,
            recipe,
            self.trial.seed,
            self._setting.data,
            self._folder.run,
            self._setting.commands,
            stop_at=self.trial.stop_at,
            keeps_weights=self._answer.keeps_weights and self._transfers.keeps_run,
            needs_room=self._setting.make_room is not None,
            schedule=tuple(self.trial.schedule or ()),
        )
        try:
            self._begin_anew_if_changed(job)
        except OSError as error:
            self._ending.cannot(f"the trial's folder cannot be written: {error}")
            return
        # While a trainer of the user's is at work nobody knows what in its folder is whole.
        self._is_own = recipe.backend == "command"
        try:
            if self._answer.merge is not None:
                merging = self._transfers.fetch_experts(
                    self._answer.merge,
                    recipe,
                    self._folder,
                    self._answer.weighed or (),
                    is_price=self.trial.origin == "proposed",  # a person may want all scores
                )
                if merging is None:
                    return
                job = replace(job, merging=merging, needs_room=False)
            else:
                self._transfers.fetch(job)
            try:
                self._train(job)
            except _RoomMade:
                self._train(replace(job, needs_room=False))
        except LeaseLost as lost:
            self._log.warning("lease lost, run stopped", error=str(lost))
            self._folder.settle(is_over=False)
        except TrialCancelled:
            self._log.info("trial cancelled, run stopped")
            # One that was stopped early has its scores: this machine can run trials.
            self._ending.is_delivered = self._has_scored
            self._ending.over()

    def _begin_anew_if_changed(self, job: Job) -> None:
        """What was trained of the trial before its study was changed, a domain split say, is
        another run, and not gone on with."""
        run = RunFolder(self._folder.run)
        different = None if self._answer.merge is not None else run.differs_in(job, job.run_seed)
        if different is not None:
            self._log.warning("the trial is another run since: it begins again", why=different)
            shutil.rmtree(run.path)
            run.path.mkdir()

    def _train(self, job: Job) -> None:
        child = self._start(job)
        if child is None:
            return
        try:
            self._follow(child)
        finally:
            if self._warm is not None and child.is_waiting:
                self._warm.keep(child, self._made_of(job))
            else:
                child.stop()

    def _made_of(self, job: Job) -> object:
        """What two merged models share that one process can make; None of a run."""
        if job.merging is None:
            return None
        return self._folder.experts_in(Path()), job.recipe, job.data

    def _start(self, job: Job) -> Child | None:
        """Starts the run; None when that cannot be done here. The lease is kept meanwhile: the
        first one waits for its libraries, though not longer than a run may be silent."""
        devices = self._setting.devices
        is_one = devices is None or job.recipe.backend == "command" or job.merging is not None
        processes = 1 if is_one else n_devices(devices or "")
        starting = Starting(lambda: self._child(job, devices, processes))
        stalled = time.monotonic() + self._setting.stalled_s
        try:
            while not starting.wait(min(self._lease.next_beat - time.monotonic(), LOOK_EVERY_S)):
                if self._signals.came:
                    starting.abandon()
                    self._ending.release("the worker was asked to stop before the run had started")
                if time.monotonic() >= stalled:
                    starting.abandon()
                    self._ending.cannot(
                        f"the run did not start within {self._setting.stalled_s:g} s"
                    )
                    return None
                if time.monotonic() >= self._lease.next_beat:
                    self._lease.beat(None, {})
        except (LeaseLost, TrialCancelled):
            starting.wait(STOP_S)
            starting.abandon()
            raise
        try:
            return starting.child
        except (OSError, EOFError, RuntimeError) as error:
            self._ending.cannot(f"the run cannot be started: {type(error).__name__}: {error}")
            return None

    def _child(self, job: Job, devices: str | None, processes: int) -> Child:
        """The process that an earlier attempt left, where this job is for it; else a new one."""
        log = self._folder.log
        kept = None if self._warm is None else self._warm.take(job, self._made_of(job), log)
        return kept or Child(job, log, devices, processes)

    def _cannot_merge(self, recipe: Recipe) -> str | None:
        """Why a merged model can be made nowhere of what the service said; None where it can, and
        of a run."""
        if self.trial.channel == "full":
            return None
        if recipe.backend == "command":
            return "weights of back end 'command' are its trainer's own; nothing was merged"
        if self._answer.merge is None:
            return "the service did not say what to merge; nothing was trained"
        return None

    def _follow(self, child: Child) -> None:
        stalled = time.monotonic() + self._setting.stalled_s
        patience: float | None = None  # until when a run that was asked to stop is waited for
        is_told = False
        while True:
            if patience is None and (grace_s := self._grace_s()) is not None:
                self._log.info(
                    "stopping: waiting for a checkpoint", why=self._why_stops, grace_s=grace_s
                )
                patience = time.monotonic() + grace_s
                child.halt()
            ends = stalled if patience is None else patience
            if self._lease.action != "continue" and not is_told:
                self._log.info(f"told to {self._lease.action}", reason=self._lease.reason)
                child.pause()
                is_told = True
            pause = max(0.0, min(self._lease.next_beat, ends) - time.monotonic())
            others = [self._signals.descriptor] if patience is None else []
            message = child.hear(pause, *others)
            if message is not None:
                stalled = time.monotonic() + self._setting.stalled_s
                if self._take(message, patience):
                    return
            now = time.monotonic()
            if patience is not None and now >= patience:
                self._ending.release(f"{self._why_stops}, and a step took longer than its grace")
            if now >= stalled:
                self._ending.fail(self._stall(), retryable=True)
                return
            if now >= self._lease.next_beat:
                self._beat()

    def _beat(self) -> None:
        self._lease.beat(self.progress, self.metrics)

    def _grace_s(self) -> float | None:
        """How long a run that is to stop now has for its checkpoint; None while it may go on."""
        if self._signals.came:
            return self._setting.grace_s
        left_s = self._pace.last_s(self._setting.grace_s)
        if left_s is not None:
            self._why_stops = "this machine's time is nearly over"
        return left_s

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
                self._pace.note(message, time.monotonic() - self.started)
                if not self._is_own:
                    self._transfers.look()
                known, _ = self._sorted(message.measurements)
                if known:
                    self._has_scored = True
                    self._lease.measurements(known)
                return False
            case Outcome():
                self._post_result(message, patience)
            case Crash():
                self._crashed(message)
            case Halted():
                at = "" if message.step is None else f" at step {message.step}"
                if not self._is_own:
                    self._transfers.keep(patience)
                self._ending.release(f"{self._why_stops}; the run halted{at}")
            case Paused():
                self._paused(message, patience)
        return True

    def _paused(self, paused: Paused, patience: float | None) -> None:
        """Gives the trial back where its run came to its step: whoever continues it needs the
        checkpoint, so that comes first."""
        self._transfers.keep(patience)
        known, _ = self._sorted(paused.measurements)
        self._ending.pause(paused.step, known)

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

    def _crashed(self, crash: Crash) -> None:
        """Ends the attempt, by what the crash is due to: the run, the machine or the recipe."""
        error = troubles.cause_first(crash.error)
        if crash.needed_bytes and self._setting.make_room is not None:
            if self._setting.make_room(crash.needed_bytes) >= crash.needed_bytes:
                raise _RoomMade
            self.needed_bytes = crash.needed_bytes
        is_here = troubles.is_of_this_machine(
            crash.trouble,
            has_stepped=bool(self.progress and self.progress.step),
            others_could=self._answer.results > 0,
        )
        if is_here:
            self._ending.cannot(error)
        else:
            self._ending.fail(error, retryable=crash.trouble != "recipe")

    def _sorted(self, found: list[Measurement]) -> tuple[list[Measurement], list[Measurement]]:
        """Scores that the study asks for, and others."""
        asked = self._answer.benchmarks
        if asked is None:
            return found, []
        own = [item for item in found if item.benchmark in asked]
        return own, [item for item in found if item.benchmark not in asked]

    def _post_result(self, outcome: Outcome, patience: float | None) -> None:
        artifacts: dict[str, Any] = {
            "steps": outcome.steps,
            "exhausted": outcome.exhausted,
            "samples": dict(outcome.counts),
            **outcome.made_with,
        }
        if outcome.mean_weights:
            artifacts["mean_weights"] = outcome.mean_weights
        own, beside = self._sorted(outcome.measurements)
        if beside:
            artifacts["other_scores"] = [item.model_dump(mode="json") for item in beside]
        if not self._is_own:
            artifacts |= self._transfers.as_artifacts(outcome.steps)
        if not own:
            self._scored_nothing(outcome)
            return
        result = Result(
            token=self._lease.token,
            measurements=own,
            artifacts=artifacts,
            wall_s=outcome.wall_s,
        )
        self._delivery.keep(result)
        # Whoever has the trial now, what the run has found is told.
        with suppress(LeaseLost, TrialCancelled):
            # The last progress, which the result does not carry.
            self._beat()
        self._hand_in(result, patience)

    def _scored_nothing(self, outcome: Outcome) -> None:
        found = ", ".join(sorted({item.benchmark for item in outcome.measurements}))
        asked = ", ".join(self._answer.benchmarks or ())
        self._ending.fail(
            f"the run scored none of the study's benchmarks ({asked}), but {found}; its folder is "
            f"{self._folder.path} on the worker",
            retryable=False,
            is_over=False,
        )

    def _hand_in(self, result: Result, patience: float | None = None) -> None:
        """Delivers a result, and only then keeps the run in the store and tidies up."""
        if not self._delivery.bring(result):
            self._folder.settle(is_over=False)  # its checkpoints stay for who looks into it
            return
        self._ending.is_delivered = True
        if "store" in result.artifacts:
            self._transfers.publish(int(result.artifacts.get("steps") or 0), patience)  # type: ignore[arg-type]
        self._ending.over()
