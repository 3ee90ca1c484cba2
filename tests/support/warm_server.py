"""Forks commands of this project from a process that has imported them once.

`python -m tests.support.warm_server DESCRIPTOR`, of a socket that listens; `tests.support.warm` is
the other end. A forked command is a process like any other: it has its own environment, folder and
output, can be killed, and ends when the tests end. Only the second or three that Python needs to
import everything are saved.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from types import ModuleType
from typing import Any, NoReturn

import typer

from modomodo import cli
from service.executor.child import ASKED
from tests.support import forked, serving, tls
from tests.support.warm import INHERITED

PR_SET_PDEATHSIG = 1
MAX_REQUEST = 1 << 20
IMPORTED = (
    "service.server",
    "service.proposing.proposer",
    "trainer.worker.worker",
    "trainer.domains.prepare",
    "trainer.run.command",
    "modomodo.fleet.local",
    "modomodo.logs",
    "db.upgrade",
    *ASKED,
)
"""No torch: a training run imports it in a process of its own."""

AT_FIRST_USE = (
    "anyio._backends._asyncio",
    "encodings.idna",
    "importlib.resources.readers",
    "rich._emoji_codes",
    "sqlite3",
    "typer._adapters",
    "typer._click.decorators",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.httptools_impl",
)
"""What the pinned libraries import when they are first used; others may do without."""


def main(listening: socket.socket) -> NoReturn:
    """Answers connections, a command each, with its pid and later its exit code, until killed."""
    end_with_parent()
    for module in IMPORTED:
        importlib.import_module(module)
    for module in AT_FIRST_USE:
        with suppress(ImportError):
            importlib.import_module(module)
    tls.share()
    serving.make_routes()
    cli.app = typer.main.get_command(cli.app)  # type: ignore[assignment]  # worked out once
    gc.collect()
    gc.freeze()  # so that forked processes share this memory
    address = listening.getsockname()[1:].decode()
    running: dict[int, tuple[int, socket.socket]] = {}
    events = select.poll()
    events.register(listening, select.POLLIN)
    while True:
        for descriptor, _ in events.poll():
            if descriptor == listening.fileno():
                line, _ = listening.accept()
                asked, outputs, _, _ = socket.recv_fds(line, MAX_REQUEST, 2)
                pid = os.fork()
                if pid == 0:
                    become(json.loads(asked), outputs, address)
                for output in outputs:
                    os.close(output)
                ending = os.pidfd_open(pid)
                events.register(ending, select.POLLIN)
                running[ending] = pid, line
                say(line, pid)
            else:
                events.unregister(descriptor)
                os.close(descriptor)
                pid, line = running.pop(descriptor)
                _, status = os.waitpid(pid, 0)
                say(line, os.waitstatus_to_exitcode(status))
                line.close()


def say(line: socket.socket, number: int) -> None:
    """Tells whoever asked for a command; a test that failed may not listen any more."""
    with suppress(OSError):
        line.send(str(number).encode())


def become(asked: dict[str, Any], outputs: list[int], address: str) -> NoReturn:
    """Runs a command in this process to its end."""
    end_with_parent()
    os.setsid()
    for standard, output in enumerate((os.open(os.devnull, os.O_RDONLY), *outputs)):
        os.dup2(output, standard)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(asked["environment"] | {INHERITED: address})
    os.chdir(asked["folder"])
    importlib.import_module("tests.support.shared_forks.sitecustomize")
    sys.argv = [asked["module"], *asked["arguments"]]
    # Usage names the command, not this module, and runs that a worker starts import nothing of it:
    # `multiprocessing` has each import what its parent's main module is.
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        if asked["module"] == "modomodo":
            forked.install()
            cli.main()
        else:
            runpy.run_module(asked["module"], run_name="__main__")
    except SystemExit as ended:
        end(ended.code)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        end(1)
    end(0)


def end(code: str | int | None) -> NoReturn:
    """Ends this process as Python does, but for taking everything that was imported apart, which
    takes longer than most commands do."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code or 0)


def end_with_parent() -> None:
    """Has this process killed when the one that made it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
