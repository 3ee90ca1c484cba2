"""Files that are whole or not there, and folders that one process has to itself."""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path
from typing import IO

ANYONE = 0o666
"""What a new file's mode is before the process's umask."""
OWNER = 0o600
"""Of a file that holds a right."""


def write_whole(path: Path, data: bytes, mode: int = ANYONE) -> None:
    """Writes a file that is never seen half written, also after a power cut."""
    beside = path.with_name(path.name + ".unfinished")
    beside.unlink(missing_ok=True)  # of a process that was killed; its mode may be another
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - it is a descriptor
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    beside.replace(path)
    settle(path.parent)


def settle(path: Path) -> None:
    """Waits until a file's content, or a folder's names, would outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str | None:
    """Hash of a file; None where there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def hold(folder: Path) -> IO[bytes] | None:
    """Makes a folder and takes it for this process, until what is returned is closed.

    Returns:
        The lock, which also ends with the process; None where another process has the folder.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock
