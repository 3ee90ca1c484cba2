"""The pictures of the user's rows: which column they are in, and files of theirs below a folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from trainer.domains import fields, own_columns
from trainer.domains.errors import DataError, Dropped
from trainer.domains.own_columns import Columns
from trainer.domains.source import Picture, Record

_FILMS = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v"}
_SOUNDS = {".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aac", ".opus"}
_PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
_PICTURE_NAME = re.compile(
    r"(images?|imgs?|pictures?|photos?|pics?)[ _-]?(paths?|files?|(file)?names?|urls?|bytes|\d+)?",
    re.IGNORECASE,
)
_FILES = "\0files"
"""Column of the images that a reader has found; no data can have it."""


def inside(folder: Path, name: str) -> Path:
    """A file below a folder by a name that the data gives.

    Raises:
        Dropped: the name leads out of the folder, by `..`, from the root, or over a link.
        DataError: the name is that of a film or a sound.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _FILMS | _SOUNDS:
        what = "film" if suffix in _FILMS else "sound"
        raise DataError(f"{name!r} is {what}; only text and images are supported")
    try:
        path = (folder / name).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise Dropped("broken image", f"{name!r:.80} is no file name") from error
    if not path.is_relative_to(folder.resolve()):
        raise Dropped("image outside the folder", f"{name!r:.80}")
    return path


def with_files(record: Record, folder: Path, columns: Columns) -> Record:
    """The record with names of images replaced by files below the folder.

    Raises:
        Dropped: a name leads out of the folder, or the images are in a column that is not read.
    """
    found = _found(record, columns)
    return {
        **record,
        _FILES: [inside(folder, name) if isinstance(name, str) else name for name in found],
    }


def pictures(record: Record, columns: Columns) -> tuple[Picture, ...]:
    """The images of a record, in order.

    Raises:
        Dropped: they are something else, or in a column that is not read.
    """
    found = record[_FILES] if _FILES in record else _found(record, columns)
    return fields.pictures({"images": found}, "images")


def revision(records: Iterable[Record | Dropped], digest: str, folder: Path) -> str:
    """SHA-256 over what lists the rows and over each picture's bytes; the same for any copy.

    Args:
        records: what `with_files` made of them.
        digest: SHA-256 of what lists the rows; the revision itself where no row names a file.
    """
    root = folder.resolve()
    paths = {
        picture
        for record in records
        if not isinstance(record, Dropped)
        for picture in record[_FILES]
        if isinstance(picture, Path)
    }
    if not paths:
        return digest
    whole = hashlib.sha256(digest.encode())
    for path in sorted(paths):
        name = str(path.relative_to(root))
        whole.update(f"\0{name}\0{_sha256(path)}".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _sha256(path: Path) -> str:
    try:
        if path.is_file():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        pass
    return "cannot be read"


def _found(record: Record, columns: Columns) -> list[Any]:
    """Names and images as they stand in the record."""
    if isinstance(columns.images, list):
        values = [own_columns.value(record, column) for column in columns.images]
    else:
        values = [columns.read(record, "images")]
    found: list[Any] = []
    for value in values:
        found += value if isinstance(value, list | tuple) else [value]
    found = [picture for picture in found if not own_columns.is_empty(picture)]
    if not found and not columns.is_mapped("images"):
        _refuse_unread(record, columns)
    return found


def _refuse_unread(record: Record, columns: Columns) -> None:
    """A row is not trained on without its picture because a column has another name."""
    known = columns.names()
    if record.get("images") == [] or record.get("image") == []:
        return  # it says that it has none
    for name, value in record.items():
        if name not in known and _is_picture(value, bool(_PICTURE_NAME.fullmatch(name))):
            raise Dropped(
                "image not read",
                f"column {name!r:.60} seems to hold images; call it 'images', or map it in a YAML "
                "(columns: {images: …}; null if it holds none)",
            )


def _is_picture(value: Any, is_named_so: bool) -> bool:
    if isinstance(value, list | tuple):
        return any(_is_picture(item, is_named_so) for item in value)
    if isinstance(value, str):
        named = PurePosixPath(value).suffix.lower() in _PICTURES and "\n" not in value
        return bool(value.strip()) and (is_named_so or named)
    return isinstance(value, bytes) or (isinstance(value, Mapping) and "bytes" in value)
