"""Forks commands of this project from a process that has imported them once.

`python -m tests.support.warm_server DESCRIPTOR [MODULE...]`, of a socket that listens, and what it
imports beside what all commands need; `tests.support.warm` is the other end. A forked command is a
process like any other: it has its own environment, folder and output, can be killed, and ends when
the tests end. Only the second or three that Python needs to import everything are saved.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, NoReturn

from service.executor.child import ASKED
from tests.support import tls
from tests.support.warm import INHERITED

PR_SET_PDEATHSIG = 1
MAX_REQUEST = 1 << 20
IMPORTED = (
    "modomodo.cli",
    "service.server",
    "service.proposing.proposer",
    "trainer.worker.worker",
    "db.upgrade",
    "tests.support.forked",
    *ASKED,
)
"""No torch: a training run imports it in a process of its own."""


def main(listening: socket.socket, *more: str) -> NoReturn:
    """Answers connections, a command each, until it is killed."""
    end_with_parent()
    for module in (*IMPORTED, *more):
        importlib.import_module(module)
    tls.share()
    gc.collect()
    gc.freeze()  # so that forked processes share this memory
    address = listening.getsockname()[1:].decode()
    while True:
        line, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            attend(line, address)
        line.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass  # those that have ended


def attend(line: socket.socket, address: str) -> NoReturn:
    """Starts the command that a connection asks for; answers its pid, and later its exit code."""
    end_with_parent()
    asked, descriptors, _, _ = socket.recv_fds(line, MAX_REQUEST, 2)
    pid = os.fork()
    if pid == 0:
        line.close()
        become(json.loads(asked), descriptors, address)
    line.send(str(pid).encode())
    _, status = os.waitpid(pid, 0)
    line.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def become(asked: dict[str, Any], descriptors: list[int], address: str) -> NoReturn:
    """Runs a command in this process to its end."""
    end_with_parent()
    os.setsid()
    os.environ.clear()
    os.environ.update(asked["environment"] | {INHERITED: address})
    os.chdir(asked["folder"])
    importlib.import_module("tests.support.shared_forks.sitecustomize")
    descriptors.insert(0, os.open(os.devnull, os.O_RDONLY))
    for standard, descriptor in enumerate(descriptors):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    sys.argv = [asked["module"], *asked["arguments"]]
    sys.modules["__main__"].__package__ = None  # usage names the command, not this module
    if asked["module"] == "modomodo":
        from modomodo.cli import main as command
        from tests.support import forked

        forked.install()
        command()
    else:
        runpy.run_module(asked["module"], run_name="__main__")
    sys.exit()


def end_with_parent() -> None:
    """Has this process killed when the one that made it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), *sys.argv[2:])
