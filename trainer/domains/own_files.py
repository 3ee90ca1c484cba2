"""Readers of the user's own files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.domains import files
from trainer.domains.errors import DataError, Dropped
from trainer.domains.manifest import Origin
from trainer.domains.own import Columns, OwnData, as_record, with_files
from trainer.domains.reading import Bookmark, Item, ListReader, Reader, parquet_reader

MAX_JSON = 2_000_000_000
"""Bytes of a JSON file, which is read whole; JSONL has no limit."""
MAX_LINE = 50_000_000


def open_files(spec: OwnData, base: Path) -> Reader:
    """Reads the files that a specification names.

    Args:
        base: folder that its paths start from.

    Raises:
        DataError: no such file, or of a kind that is not read.
    """
    index = _index(base / (spec.path or ""))
    folder = base / spec.images if spec.images else index if index.is_dir() else index.parent
    if not folder.is_dir():
        raise DataError(f"no folder of images {folder}")
    if index.is_dir():
        paths = sorted(index.rglob("*.parquet"))
        reader = parquet_reader(paths, _origin(spec, index, files.fingerprint(paths, index)))
        return FoundFiles(reader, folder, spec.columns)
    if index.suffix == ".parquet":
        reader = parquet_reader([index], _origin(spec, index, _digest(index)))
        return FoundFiles(reader, folder, spec.columns)
    origin = _origin(spec, index, _digest(index))
    reader = LinesReader(index, origin) if index.suffix == ".jsonl" else _json_list(index, origin)
    return FoundFiles(reader, folder, spec.columns)


def _index(path: Path) -> Path:
    """The file that lists the rows; the folder itself where it holds Parquet files."""
    if path.is_file():
        if path.suffix in (".jsonl", ".json", ".parquet"):
            return path
        raise DataError(f"{path.name} is no .jsonl, .json or .parquet file")
    if not path.is_dir():
        raise DataError(f"no file or folder {path}")
    lists = sorted(path.glob("*.jsonl"))
    if len(lists) == 1:
        return lists[0]
    if not lists and next(path.rglob("*.parquet"), None):
        return path
    found = f"{len(lists)} .jsonl files" if lists else "no .jsonl and no .parquet file"
    raise DataError(f"{path} has {found}; name the file that lists the rows")


def _origin(spec: OwnData, index: Path, revision: str) -> Origin:
    return Origin(kind="folder", name=index.resolve().name, split=spec.split, revision=revision)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json_list(path: Path, origin: Origin) -> Reader:
    if path.stat().st_size > MAX_JSON:
        raise DataError(f"{path} is over {MAX_JSON} bytes; as JSONL it can be of any size")
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, list):
        raise DataError(f"{path} holds {type(values).__name__}, not a list of rows")
    return ListReader([_record(value) for value in values], origin)


def _record(value: Any) -> Item:
    try:
        return as_record(value)
    except Dropped as dropped:
        return dropped


class LinesReader:
    """Rows of a JSONL file; a line that is not JSON is a wrong row, not the end."""

    def __init__(self, path: Path, origin: Origin) -> None:
        self.origin = origin
        self._path, self._offset = path, 0
        with path.open("rb") as file:
            self.total: int | None = sum(1 for line in file if line.strip())

    def items(self, start: Bookmark) -> Iterator[Item]:
        with self._path.open("rb") as file:
            file.seek(int(start.get("offset", 0)))
            for line in iter(file.readline, b""):
                self._offset = file.tell()
                if line.strip():
                    yield _line(line)

    def bookmark(self) -> Bookmark:
        return {"offset": self._offset}


def _line(line: bytes) -> Item:
    if len(line) > MAX_LINE:
        return Dropped("malformed row", f"a line of {len(line)} bytes")
    try:
        return _record(json.loads(line))
    except (ValueError, RecursionError) as error:
        return Dropped("malformed row", f"not JSON: {error}")


class FoundFiles:
    """A reader whose records' image names have become files inside a folder."""

    def __init__(self, reader: Reader, folder: Path, columns: Columns) -> None:
        self.origin, self.total = reader.origin, reader.total
        self._reader, self._folder, self._columns = reader, folder, columns

    def items(self, start: Bookmark) -> Iterator[Item]:
        for item in self._reader.items(start):
            if isinstance(item, Dropped):
                yield item
                continue
            try:
                yield with_files(item, self._folder, self._columns)
            except Dropped as dropped:
                yield dropped

    def bookmark(self) -> Bookmark:
        return self._reader.bookmark()
