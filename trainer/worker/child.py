"""A training run in processes of its own, so that it can crash or be stopped without its worker.

The processes come from a fork server that has imported the back end's libraries once: a run starts
in a fraction of a second instead of ten. A run on several GPUs has a process for each, as
`accelerate launch` would start them. The process of a merged model waits a while for the next one,
for which base, experts and pictures are loaded then.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import structlog

from trainer import groups
from trainer.backends import MODULES
from trainer.job import Crash, Job, Outcome
from trainer.worker.run_process import GROUPS, HALT, PAUSE, SAFE_PATH, TAKEN, Message, main

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

IDLE_S = 60.0
"""How long the process of a merged model waits for the next one, its memory held."""
TAKEN_S = 5.0
"""A process that waits takes another job at once; one that does not by then is given up."""
STOP_S = 10.0
"""Time that a killed process has to be gone; one that a driver holds may take for ever."""


class Starting:
    """A run that is being started, in a thread: the first one waits for its libraries, and a disk
    or a driver that hangs may hold it for ever.

    Args:
        start: starts it.
    """

    def __init__(self, start: Callable[[], Child]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._error: Exception | None = None
        self._is_wanted = True
        self._thread = threading.Thread(target=self._run, name="modomodo-start", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            child = self._start()
        except Exception as error:  # told by `child`
            self._error = error
            return
        with self._lock:
            self._child = child
            if self._is_wanted:
                return
        child.stop()

    def wait(self, seconds: float) -> bool:
        """Waits, at most so long; whether it is started or cannot be."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    @property
    def child(self) -> Child:
        """The run, once `wait` says so; raises what kept it from starting."""
        if self._error is not None:
            raise self._error
        assert self._child is not None  # noqa: S101 - it has ended without an error
        return self._child

    def abandon(self) -> None:
        """Stops the run, now or as soon as it has started."""
        with self._lock:
            self._is_wanted = False
            child = self._child
        if child is not None:
            child.stop()


class Child:
    """One running training run.

    Args:
        log: file that takes what its processes print; None leaves it on this process's streams.
        devices: the CUDA devices it may see, such as `0,1`; None leaves them as they are.
        processes: that share the run.
        idle_s: how long it waits for another job, if it does.

    Attributes:
        is_waiting: whether its run is over and it waits for another job (`hand`).
    """

    def __init__(
        self,
        job: Job,
        log: Path | None = None,
        devices: str | None = None,
        processes: int = 1,
        idle_s: float = IDLE_S,
    ) -> None:
        self._may_wait, self.is_waiting = job.merging is not None, False
        context = multiprocessing.get_context("forkserver")
        # The first run decides: a worker whose trials run a command never imports torch.
        context.set_forkserver_preload([MODULES[job.recipe.backend]])
        self._folder = TemporaryDirectory(prefix="modomodo-run-", ignore_cleanup_errors=True)
        (Path(self._folder.name) / GROUPS).mkdir()
        port = _free_port() if processes > 1 else 0
        self._messages: list[Connection] = []
        self._controls: list[Connection] = []
        self._processes: list[BaseProcess] = []
        for rank in range(processes):
            messages, theirs = context.Pipe(duplex=False)
            # Its end of file tells the process that the worker is gone.
            control, ours = context.Pipe(duplex=False)
            environment = {} if devices is None else {"CUDA_VISIBLE_DEVICES": devices}
            if SAFE_PATH in os.environ:
                environment[SAFE_PATH] = os.environ[SAFE_PATH]
            if processes > 1:
                environment |= _rendezvous(rank, processes, port)
            process = context.Process(
                target=main,
                args=(job, theirs, control, self._folder.name, log, environment, idle_s),
                name=f"modomodo-run-{rank}",
                daemon=True,
            )
            _start(process)
            theirs.close()
            control.close()
            self._messages.append(messages)
            self._controls.append(ours)
            self._processes.append(process)

    @property
    def pids(self) -> list[int]:
        """Of its processes; the first speaks for the run."""
        return [process.pid for process in self._processes if process.pid is not None]

    def hear(self, timeout: float | None = None, *others: int) -> Message | None:
        """The run's next message; None after so many seconds or when one of the other file
        descriptors is ready. The last one is an `Outcome`, a `Crash`, `Halted` or `Paused`."""
        ready = wait([*self._messages, *others], timeout=timeout)
        for number, messages in enumerate(self._messages):
            if messages in ready:
                try:
                    message: Message = messages.recv()
                except EOFError:
                    return Crash(self._exit_reason(number))
                # What was ordered may come after its end, and would be the next job's.
                self.is_waiting = self._may_wait and isinstance(message, Outcome)
                return message
        return None

    def hand(self, job: Job, log: Path | None = None) -> bool:
        """Gives another merged model to a process that waits for one; False where it does no more.

        Args:
            log: as for a new one.
        """
        self.is_waiting = False
        messages = self._messages[0]
        try:
            self._controls[0].send((job, log))
            return messages.poll(TAKEN_S) and messages.recv() == TAKEN
        except (OSError, EOFError):
            return False

    def _exit_reason(self, number: int) -> str:
        process = self._processes[number]
        process.join()
        code = process.exitcode or 0
        if code < 0:
            return f"the training process was killed by {signal.Signals(-code).name}"
        return f"the training process ended with exit code {code} and no result"

    def halt(self) -> None:
        """Asks the run to end as soon as it can be gone on with; its last message is `Halted`."""
        self._order(HALT)

    def pause(self) -> None:
        """Asks the run to end at its next evaluation point; its last message is then `Paused`."""
        self._order(PAUSE)

    def _order(self, what: str) -> None:
        self._may_wait = False
        for control in self._controls:
            with suppress(BrokenPipeError):
                control.send(what)

    def stop(self) -> None:
        """Ends the processes at once with all that they started, and frees what they hold."""
        for process in self._processes:
            if process.pid is not None:
                groups.end(process.pid)  # it leads one, which may outlive it
            process.kill()  # where it has not come to that yet
        groups.end_all(Path(self._folder.name) / GROUPS)
        for process in self._processes:
            process.join(STOP_S)
            if process.is_alive():
                structlog.get_logger().error("a killed run does not end", pid=process.pid)
        for connection in (*self._messages, *self._controls):
            connection.close()
        self._folder.cleanup()


def _start(process: BaseProcess) -> None:
    """Starts it, and before the first one the fork server, which imports nothing of the folder that
    the worker runs in."""
    was = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        process.start()
    finally:
        if was is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = was


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _rendezvous(rank: int, processes: int, port: int) -> dict[str, str]:
    """What torch and accelerate read: which process of how many it is, and where they meet."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
