"""What the process of a run does: a job, as the worker that started it orders (`child.py`)."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, Queue

from trainer import groups, troubles
from trainer.backends import JobRunner
from trainer.job import Crash, Halted, Job, Outcome, Paused, Progress

Message = Progress | Outcome | Crash | Halted | Paused
HALT, PAUSE, TAKEN = "halt", "pause", "taken"
"""What the worker orders, and what it hears of another job."""
SAFE_PATH = "PYTHONSAFEPATH"
"""Python's own variable: what is called `trainer` in the folder a program runs in is not imported.
"""
GROUPS = "groups"
"""Folder of the process groups that the run starts, within its own."""


def main(
    job: Job,
    messages: Connection,
    control: Connection,
    folder: str,
    log: Path | None,
    environment: dict[str, str],
    idle_s: float,
) -> None:
    """Runs a job, and after a merged model's those that are handed over while it waits.

    Args:
        messages: what the worker hears.
        control: the worker's orders, and further jobs; at its end the worker is gone.
        folder: for temporary files; the worker removes it.
        log: file that takes what is printed; None leaves it on the worker's streams.
        idle_s: how long it waits for another job.
    """
    # A group of its own, which ends as a whole, with data loaders and servers that it started.
    os.setpgid(0, 0)
    os.environ[groups.FOLDER] = str(Path(folder) / GROUPS)
    # Ctrl-C and what a cluster sends to all processes are the worker's to handle. Handlers, not
    # SIG_IGN, which the processes that this one starts would inherit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: None)
    halted, paused = threading.Event(), threading.Event()
    told = {HALT: halted, PAUSE: paused}
    others: Queue[tuple[Job, Path | None]] = Queue()
    threading.Thread(target=_follow, args=(control, told, others), daemon=True).start()
    tempfile.tempdir = folder  # the worker clears it, however this process ends
    if log is not None:
        _print_to(log)
    os.environ.pop(SAFE_PATH, None)  # a user's program imports what lies beside it
    os.environ.update(environment)  # before anything asks for a device
    runner = JobRunner()
    while True:
        last = _last_message(runner, job, messages, halted, paused)
        if int(environment.get("RANK", 0)) > 0 and not isinstance(last, Crash):
            threading.Event().wait()  # the first process speaks for all, and the worker ends them
        messages.send(last)
        if job.merging is None or not isinstance(last, Outcome):
            return
        try:
            job, log = others.get(timeout=idle_s)
        except Empty:
            return
        if log is not None:
            _print_to(log)
        messages.send(TAKEN)


def _last_message(
    runner: JobRunner,
    job: Job,
    messages: Connection,
    halted: threading.Event,
    paused: threading.Event,
) -> Message:
    """Runs a job; how it ended. Ends the process where the worker is gone."""
    try:
        if job.needs_room and job.recipe.backend == "trl":
            from trainer.worker import room

            room.check(job)
        return runner.run(job, messages.send, halted.is_set, paused.is_set)
    except BrokenPipeError:
        os._exit(1)
    except (Halted, Paused) as ended:
        return ended
    except Exception as error:
        needed = getattr(error, "needed_bytes", 0)
        return Crash(troubles.in_words(error), troubles.of_error(error), needed)


def _print_to(log: Path) -> None:
    """What this process and its libraries print goes on at the end of a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def _follow(
    control: Connection,
    told: dict[str, threading.Event],
    others: Queue[tuple[Job, Path | None]],
) -> None:
    """Takes the worker's orders, and further jobs; ends this run when the worker is gone."""
    try:
        while True:
            order = control.recv()
            if isinstance(order, str):
                told[order].set()
            else:
                others.put(order)
    except EOFError:
        groups.end_all(Path(os.environ[groups.FOLDER]))
        os.killpg(os.getpid(), signal.SIGKILL)
