"""Static files under an address that changes with them, so that browsers may keep them for good.

Everything comes from this machine: the package's own files, and Plotly's as its Python package
brings it.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"
PLOTLY = "plotly.min.js"

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file ready to be sent, and the same compressed."""

    media_type: str
    plain: bytes
    gzipped: bytes


@cache
def _files() -> dict[str, Path]:
    files = {path.name: path for path in STATIC.iterdir() if path.suffix in TYPES}
    package = importlib.util.find_spec("plotly")
    if package is not None and package.origin is not None:
        # Found without importing: the Python side of Plotly is not needed.
        files[PLOTLY] = Path(package.origin).parent / "package_data" / PLOTLY
    return files


@cache
def version() -> str:
    """Changes when a file does: part of every asset's address."""
    digest = hashlib.sha256(importlib.metadata.version("plotly").encode())
    for name, path in sorted(_files().items()):
        if name != PLOTLY:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def asset(name: str) -> Asset:
    """The file of this name.

    Raises:
        KeyError: there is none.
    """
    path = _files()[name]
    plain = path.read_bytes()
    return Asset(TYPES[path.suffix], plain, gzip.compress(plain, 6, mtime=0))
