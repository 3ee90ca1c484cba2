"""Readers of the user's own files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from trainer.domains import files, own_pictures
from trainer.domains.errors import DataError, Dropped
from trainer.domains.manifest import Origin
from trainer.domains.own import OwnData, as_record
from trainer.domains.own_columns import Columns, used
from trainer.domains.own_pictures import with_files
from trainer.domains.reading import Bookmark, Item, ListReader, Place, Reader, parquet_reader

MAX_JSON = 2_000_000_000
"""Bytes of a JSON file, which is read whole; JSONL has no limit."""
MAX_LINE = 50_000_000


def open_files(spec: OwnData, base: Path) -> Reader:
    """Reads the files that a specification names.

    The reader's revision covers the pictures that the rows name, so all of them are read here.

    Args:
        base: folder that its paths start from.

    Raises:
        DataError: no such file, or of a kind that is not read.
    """
    index = _index(base / (spec.path or ""))
    folder = base / spec.images if spec.images else index if index.is_dir() else index.parent
    if not folder.is_dir():
        raise DataError(f"no folder of images {folder}")
    reader, names = _opened(spec, index)
    revision = own_pictures.revision(
        (_found(record, folder, spec.columns) for record in names), reader.origin.revision, folder
    )
    reader.origin = reader.origin.model_copy(update={"revision": revision})
    return FoundFiles(reader, folder, spec.columns)


def _opened(spec: OwnData, index: Path) -> tuple[Reader, Iterator[Item]]:
    """The reader of what lists the rows, and all its rows, at least with their names of images."""
    if index.is_dir() or index.suffix == ".parquet":
        root = index if index.is_dir() else index.parent
        paths = sorted(index.rglob("*.parquet")) if index.is_dir() else [index]
        digest = files.fingerprint(paths, root) if index.is_dir() else files.digest(index)
        parquet = parquet_reader(paths, _origin(spec, index, digest), root)
        return parquet, _named_in_parquet(paths, spec.columns)
    origin = _origin(spec, index, files.digest(index))
    reader = LinesReader(index, origin) if index.suffix == ".jsonl" else _json_list(index, origin)
    return reader, reader.items({})


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


def _named_in_parquet(paths: list[Path], columns: Columns) -> Iterator[Item]:
    """Records of the columns that images are found by, where they may hold names of files.

    Raises:
        DataError: a file is broken.
    """
    wanted = columns.images if isinstance(columns.images, list) else [columns.images]
    names = {name for column in wanted if column is not None for name in used(column)}
    if not columns.is_mapped("images"):
        names.add("image")
    for path in paths:
        try:
            file = pq.ParquetFile(path)
            kept = [
                field.name
                for field in file.schema_arrow
                if field.name in names and not _is_embedded(field.type)
            ]
            for batch in file.iter_batches(columns=kept) if kept else ():
                yield from batch.to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"cannot read {path}: {error}") from error


def _is_embedded(kind: pa.DataType) -> bool:
    """Whether a column holds the images themselves: bytes, or `datasets`' bytes and path."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_embedded(kind.value_type)
    return bool(
        pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    )


_SPACE = re.compile(r"\s*")


def _json_list(path: Path, origin: Origin) -> Reader:
    if path.stat().st_size > MAX_JSON:
        raise DataError(f"{path} is over {MAX_JSON} bytes; as JSONL it can be of any size")
    try:
        data = path.read_bytes()
        text = data.decode(json.detect_encoding(data))
        found = list(_values(text))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a JSON list of rows: {error}") from error
    places = [Place(path.name, line, row) for row, (line, _) in enumerate(found, 1)]
    return ListReader([_record(value) for _, value in found], origin, places)


def _values(text: str) -> Iterator[tuple[int, Any]]:
    """The values of a JSON list, each with the line it begins in.

    Raises:
        ValueError: the text is no JSON list.
    """
    decoder = json.JSONDecoder()
    at, line = _after(text, 0), 1
    if not text.startswith("[", at):
        decoder.raw_decode(text, at)
        raise ValueError("it does not begin with '['; one row a line is a .jsonl file")
    counted, at = 0, _after(text, at + 1)
    is_open = not text.startswith("]", at)
    while is_open:
        line += text.count("\n", counted, at)
        counted = at
        value, at = decoder.raw_decode(text, at)
        yield line, value
        at = _after(text, at)
        is_open = text.startswith(",", at)
        if is_open:
            at = _after(text, at + 1)
        elif not text.startswith("]", at):
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    if _after(text, at + 1) != len(text):
        raise json.JSONDecodeError("Extra data", text, at + 1)


def _after(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _record(value: Any) -> Item:
    try:
        return as_record(value)
    except Dropped as dropped:
        return dropped


class LinesReader:
    """Rows of a JSONL file; a line that is not JSON is a wrong row, not the end."""

    def __init__(self, path: Path, origin: Origin) -> None:
        self.origin = origin
        self._path, self._offset, self._number = path, 0, 0
        with path.open("rb") as file:
            self.total: int | None = sum(1 for line in file if line.strip())

    def items(self, start: Bookmark) -> Iterator[Item]:
        self._number = int(start.get("line", 0))
        with self._path.open("rb") as file:
            file.seek(int(start.get("offset", 0)))
            for line in iter(file.readline, b""):
                self._offset = file.tell()
                self._number += 1
                if line.strip():
                    yield _line(line)

    def bookmark(self) -> Bookmark:
        return {"offset": self._offset, "line": self._number}

    def place(self) -> Place:
        return Place(self._path.name, self._number)


def _line(line: bytes) -> Item:
    if len(line) > MAX_LINE:
        return Dropped("malformed row", f"a line of {len(line)} bytes")
    try:
        return _record(json.loads(line))
    except (ValueError, RecursionError) as error:
        return Dropped("malformed row", f"not JSON: {error}")


def _found(item: Item, folder: Path, columns: Columns) -> Item:
    if isinstance(item, Dropped):
        return item
    try:
        return with_files(item, folder, columns)
    except Dropped as dropped:
        return dropped


class FoundFiles:
    """A reader whose records' image names have become files inside a folder."""

    def __init__(self, reader: Reader, folder: Path, columns: Columns) -> None:
        self.origin, self.total = reader.origin, reader.total
        self._reader, self._folder, self._columns = reader, folder, columns

    def items(self, start: Bookmark) -> Iterator[Item]:
        for item in self._reader.items(start):
            yield _found(item, self._folder, self._columns)

    def bookmark(self) -> Bookmark:
        return self._reader.bookmark()

    def place(self) -> Place:
        return self._reader.place()
