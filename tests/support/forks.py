"""The servers that training runs are forked from: this process's own, and one that all may share.

A worker starts such a server with its first run, which imports torch, transformers and TRL: eight
seconds of processor time; half a second where a program trains. Tests of several workers have them
share one that is there already, by variables that every Python process below them follows
(`shared_forks/sitecustomize.py`). That a worker starts its own, `test_workers.py` shows, and with
TRL a slow test of `test_merging.py`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path

import psutil
import pytest

from trainer.backends import MODULES

FOLDER = Path(__file__).with_name("shared_forks")


def begin_anew() -> None:
    """Ends this process's own: the next run starts one that has imported what that run needs. One
    that an earlier test started may have imported no torch, and then every run would."""
    forkserver._forkserver._stop()


@functools.cache
def _shared(backend: str) -> forkserver.ForkServer:
    """Ends with this process."""
    server = forkserver.ForkServer()
    server.set_forkserver_preload(["tests.support.patient_forks", MODULES[backend]])
    server.ensure_running()
    return server


def runs(backend: str = "trl") -> list[psutil.Process]:
    """What the server that commands share has forked, and the programs that these started."""
    return psutil.Process(_shared(backend)._forkserver_pid).children(recursive=True)


@contextmanager
def shared() -> Iterator[None]:
    """Runs of this process, too, are forked from the server that commands share."""
    begin_anew()
    own, theirs = forkserver._forkserver, _shared("trl")
    names = ("_forkserver_address", "_forkserver_alive_fd", "_forkserver_pid")
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(own, name, getattr(theirs, name))
        yield


def environment(backend: str = "trl") -> dict[str, str]:
    """Variables of commands whose runs are forked from the server that they share."""
    server = _shared(backend)
    if hasattr(server, "_forkserver_authkey"):
        return {}  # Python 3.14's asks for a key: there each has its own
    paths = [str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "TESTS_FORK_SERVER": server._forkserver_address,
        "PYTHONPATH": os.pathsep.join(paths),
    }
