"""A worker whose runs only count steps: it takes trials, beats, posts scores or a pause, and notes
what it was answered.

`python -m bench.chaos_worker URL NAME LEDGER SEED`

Each run is a process of its own that may be killed; its checkpoint is a file with a number, in the
folder `runs` beside the ledger, where whoever continues the trial finds it.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from service.client import Client, ServiceError
from service.schemas import (
    Failure,
    Heartbeat,
    Measurement,
    NextAnswer,
    NextRequest,
    Partial,
    Result,
)

STUDY, BENCHMARK = "chaos", "score"
STEPS, EVERY = 8, 2
"""Of a whole run, and between its evaluation points."""
LONGEST_STEP_S = 0.05


class Worker:
    """One worker with the files it shares with others."""

    def __init__(self, client: Client, name: str, ledger: Path, seed: int) -> None:
        self._client, self._name = client, name
        self._chance = random.Random(seed)
        self._runs = ledger.with_name("runs")
        self._runs.mkdir(exist_ok=True)
        self._note = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def work(self) -> None:
        """Works until nothing more is to come."""
        while True:
            answer = self._client.next(NextRequest(worker=self._name, study=STUDY))
            if answer.trial is None or answer.lease is None:
                if answer.retry_after_s is None:
                    return
                time.sleep(min(0.5, answer.retry_after_s))
                continue
            try:
                self._run(answer, answer.trial.id, answer.lease.token)
            except ServiceError as error:
                if error.status != 409:
                    raise
                # Another has it: its own score was kept as a replicate.
            except Exception as error:  # a heartbeat has little patience; the lease may run out
                print(f"{self._name}: {error}", file=sys.stderr)

    def _run(self, answer: NextAnswer, trial: int, token: str) -> None:
        assert answer.trial is not None
        ask, heard = (self._runs / f"{self._name}.{what}" for what in ("ask", "heard"))
        for file in (ask, heard):
            file.unlink(missing_ok=True)
        seed, parent = self._chance.randrange(2**31), os.getpid()
        pid = os.fork()
        if pid == 0:
            code = 255
            with suppress(BaseException):
                code = train(
                    self._checkpoint(trial), ask, heard, answer.trial.stop_at, seed, parent
                )
            os._exit(code)
        (self._runs / f"{self._name}.pid").write_text(str(pid))
        status = None
        try:
            while status is None:
                time.sleep(LONGEST_STEP_S)
                at = Heartbeat(token=token, step=stands_at(self._checkpoint(trial)))
                pulse = self._client.heartbeat(trial, at)
                if pulse.cancel:
                    return
                if pulse.action != "continue":
                    ask.touch()
                _write(heard, at.step or 0)
                ended, found = os.waitpid(pid, os.WNOHANG)
                status = found if ended else None
        finally:
            if status is None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            died = f"the run was ended by signal {os.WTERMSIG(status)}"
            self._client.failure(trial, Failure(token=token, error=died, retryable=True))
            return
        self._tell(trial, token, os.WEXITSTATUS(status))

    def _tell(self, trial: int, token: str, step: int) -> None:
        if step < STEPS:
            scores = [_measured(score_at(trial, step), step)] if step % EVERY == 0 else []
            left = self._client.partial(trial, Partial(token=token, step=step, measurements=scores))
            what = "stopped" if left.state == "early_stopped" else "paused"
            self._write(f"{what} {trial} {step} {scores[0].score if scores else '-'}")
            return
        score = _measured(self._chance.random(), step)
        self._client.result(trial, Result(token=token, measurements=[score]))
        self._write(f"completed {trial} {step} {score.score!r}")

    def _checkpoint(self, trial: int) -> Path:
        return self._runs / str(trial)

    def _write(self, line: str) -> None:
        os.write(self._note, f"{line}\n".encode())


def _measured(score: float, step: int) -> Measurement:
    return Measurement(benchmark=BENCHMARK, score=score, samples=100, step=step)


def score_at(trial: int, step: int) -> float:
    """A trial's score on the way: the same whoever runs it."""
    return (31 * trial + step) % 100 / 100


def stands_at(checkpoint: Path) -> int:
    """Step of a checkpoint; 0 where there is none."""
    try:
        return int(checkpoint.read_text())
    except FileNotFoundError:
        return 0


def _write(file: Path, step: int) -> None:
    # Whole or not at all: two runs of a trial may be there while a lease is lost.
    staged = file.with_name(f"{file.name}.{os.getpid()}")
    staged.write_text(str(step))
    staged.rename(file)


def train(
    checkpoint: Path, ask: Path, heard: Path, stop_at: int | None, seed: int, parent: int
) -> int:
    """Counts from the checkpoint on to the last step, to `stop_at`, or to the evaluation point at
    which it was asked to pause; returns the step.

    At an evaluation point it waits until its worker was answered there (`heard`), so that who asks
    is heard on a slow machine, too.
    """
    chance = random.Random(seed)
    step = stands_at(checkpoint)
    while step < STEPS and step != stop_at:
        if step and step % EVERY == 0:
            while stands_at(heard) < step:
                time.sleep(LONGEST_STEP_S / 5)
                _end_without(parent)
            if ask.exists():
                break
        time.sleep(chance.uniform(0, LONGEST_STEP_S))
        _end_without(parent)
        step += 1
        _write(checkpoint, step)
    return step


def _end_without(parent: int) -> None:
    """A run ends with its worker."""
    if os.getppid() != parent:
        os._exit(255)


def main(url: str, name: str, ledger: str, seed: int) -> None:
    """Works until nothing more is to come."""
    with Client(url, patience_s=120.0, timeout_s=5.0) as client:
        Worker(client, name, Path(ledger), seed).work()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
