"""Process groups that a run has started, noted where whoever ends the run can end them too.

A script of back end `command` has a group of its own, so that it can be signalled with all that it
started. When the run is killed, only the worker is left to end that group.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

FOLDER = "MODOMODO_GROUPS"
"""Environment variable with the folder; a file in it is called like a group's number."""


def note(group: int) -> None:
    """Notes a group of a run that a worker has started; elsewhere it does nothing."""
    folder = os.environ.get(FOLDER)
    if folder is not None:
        with suppress(OSError):  # a full disk is no reason not to run
            (Path(folder) / str(group)).touch()


def forget(group: int) -> None:
    """Notes that a group has ended: its number may be given to others."""
    folder = os.environ.get(FOLDER)
    if folder is not None:
        with suppress(OSError):
            (Path(folder) / str(group)).unlink(missing_ok=True)


def end_all(folder: Path) -> None:
    """Kills all groups that are noted in a folder."""
    with suppress(OSError):
        for file in folder.iterdir():
            end(int(file.name))


def end(group: int) -> None:
    """Kills all processes of a group, where there are any."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
