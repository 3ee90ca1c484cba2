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
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from trainer.job import Crash, Job

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess


class Child:
    """One running training process.

    `messages` yields `Progress`, and last an `Outcome` or a `Crash`; its end of file without one of
    these means that the process died.

    Args:
        log: file that takes what the process prints; None leaves it on this process's streams.
        gpus: the CUDA devices it may see, such as `0,1`; None leaves them as they are.
    """

    def __init__(self, job: Job, log: Path | None = None, gpus: str | None = None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["trainer.run"])
        self.messages, theirs = context.Pipe(duplex=False)
        # Never written to: its end of file tells the child that the worker is gone.
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_exit_with_worker, args=(leash,), daemon=True).start()
    tempfile.tempdir = folder  # the worker clears it, however this process ends
    if log is not None:
        _print_to(log)
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus  # before anything asks for a device
    try:
        from trainer.run import train_and_score

        messages.send(train_and_score(job, messages.send))
    except BrokenPipeError:
        os._exit(1)
    except Exception:
        messages.send(Crash(traceback.format_exc()))


def _print_to(log: Path) -> None:
    """What this process and its libraries print goes on at the end of a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def _exit_with_worker(leash: Connection) -> None:
    try:
        leash.recv()
    except EOFError:
        os._exit(1)
