"""The code that fits are made by, as a hash: what is kept of a fit holds only while that is the
same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = (
    "db",
    *(f"service/{room}" for room in ("fitting", "notation", "schemas", "search", "study")),
)
"""What decides what is kept of a fit: how trials are read, fitted and told."""

LIBRARIES = ("numpy", "scipy", "torch", "linear_operator", "gpytorch", "botorch", "lightgbm")
"""What they compute with; a service may lack some."""


def code_digest() -> str:
    """Hash of the code that this process makes fits by, with the versions of its libraries."""
    return hashlib.sha256(repr((digest(ROOT), versions())).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Of the libraries that are there."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def digest(folder: Path, rooms: Sequence[str] = ROOMS) -> str:
    """Hash of the Python files of some rooms, by their paths in the folder and their contents."""
    found = hashlib.sha256()
    for room in rooms:
        for path in sorted((folder / room).rglob("*.py")):
            source = path.read_bytes()
            found.update(f"{path.relative_to(folder).as_posix()} {len(source)}\n".encode())
            found.update(source)
    return found.hexdigest()
