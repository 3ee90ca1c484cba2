"""A training run in a process of its own, so that it can crash or be stopped without its worker.

The processes come from a fork server that has imported the training libraries once: a run starts
in a fraction of a second instead of ten.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from trainer.job import Crash, Halted, Job

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess


_HALT = "halt"


class Child:
    """One running training process.

    `messages` yields `Progress`, and last an `Outcome`, a `Crash` or `Halted`; its end of file
    without one of these means that the process died.

    Args:
        log: file that takes what the process prints; None leaves it on this process's streams.
        gpus: the CUDA devices it may see, such as `0,1`; None leaves them as they are.
    """

    def __init__(self, job: Job, log: Path | None = None, gpus: str | None = None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["trainer.run"])
        self.messages, theirs = context.Pipe(duplex=False)
        # Its end of file tells the child that the worker is gone.
        leash, self._leash = context.Pipe(duplex=False)
        self._folder = TemporaryDirectory(prefix="modomodo-run-")
        self.process: BaseProcess = context.Process(
            target=_main,
            args=(job, theirs, leash, self._folder.name, log, gpus),
            name="modomodo-run",
            daemon=True,
        )
        self.process.start()
        theirs.close()
        leash.close()

    def exit_reason(self) -> str:
        """Why the process ended without an outcome; call once it has."""
        self.process.join()
        code = self.process.exitcode or 0
        if code < 0:
            return f"the training process was killed by {signal.Signals(-code).name}"
        return f"the training process ended with exit code {code} and no result"

    def halt(self) -> None:
        """Asks the run to end as soon as it can be gone on with; its last message is `Halted`."""
        with suppress(BrokenPipeError):
            self._leash.send(_HALT)

    def stop(self) -> None:
        """Ends the process at once and frees what it holds."""
        self.process.kill()
        self.process.join()
        self.messages.close()
        self._leash.close()
        self._folder.cleanup()


def _main(
    job: Job,
    messages: Connection,
    leash: Connection,
    folder: str,
    log: Path | None,
    gpus: str | None,
) -> None:
    # Ctrl-C and what a cluster sends to all processes are the worker's to handle. Handlers, not
    # SIG_IGN, which the processes that this one starts would inherit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: None)
    halted = threading.Event()
    threading.Thread(target=_obey, args=(leash, halted), daemon=True).start()
    tempfile.tempdir = folder  # the worker clears it, however this process ends
    if log is not None:
        _print_to(log)
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus  # before anything asks for a device
    try:
        from trainer.run import train_and_score

        messages.send(train_and_score(job, messages.send, halted.is_set))
    except BrokenPipeError:
        os._exit(1)
    except Halted as ended:
        messages.send(ended)
    except Exception:
        messages.send(Crash(traceback.format_exc()))


def _print_to(log: Path) -> None:
    """What this process and its libraries print goes on at the end of a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def _obey(leash: Connection, halted: threading.Event) -> None:
    """Takes the worker's order to halt; ends this process when the worker is gone."""
    try:
        while leash.recv() == _HALT:
            halted.set()
    except EOFError:
        os._exit(1)
