"""Reads a prepared folder: rows by index, decoded when asked for."""

from __future__ import annotations

import io
import json
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from trainer.domains import images, manifest
from trainer.domains.errors import DataError
from trainer.domains.files import FEATURES
from trainer.domains.subsets import stratified
from trainer.rows import Row, Rows, length, length_of, unseen_of

GROUPS_KEPT = 32
"""Row groups that stay in memory: neighbours are often asked for one after the other."""


class PreparedRows(Rows):
    """Rows of a prepared dataset.

    Args:
        folder: what `modomodo data prepare` wrote.
        domain: name the rows go by; default the dataset's own.

    Raises:
        DataError: the folder holds no prepared dataset, or a part of it is missing or damaged.
    """

    def __init__(self, folder: Path, domain: str | None = None) -> None:
        self.manifest = manifest.load(folder)
        self._domain = domain or self.manifest.domain
        self._groups: list[tuple[Path, int]] = []
        lengths: list[int] = []
        for part in self.manifest.parts:
            metadata = _metadata(folder / part.file, part.rows)
            for group in range(metadata.num_row_groups):
                self._groups.append((folder / part.file, group))
                lengths.append(metadata.row_group(group).num_rows)
        self._starts = [0, *accumulate(lengths)]

    def __len__(self) -> int:
        return self.manifest.rows

    def subset(self, n: int | None) -> Sequence[Row]:
        """A fixed stratified subset of `n` rows; all for None. The same whoever draws it."""
        if n is None or n >= len(self):
            return self
        ids, strata = self._column("id"), self._column("stratum")
        return Picked(self, stratified(ids, strata, n))

    def _column(self, name: str) -> list[str]:
        paths = dict.fromkeys(path for path, _ in self._groups)
        return [
            value
            for path in paths
            for value in pq.read_table(path, columns=[name])[name].to_pylist()
        ]

    def row(self, index: int) -> Row:
        return self._made(self._read(index), images.decode)

    def unseen(self, index: int) -> Row:
        return self._made(self._read(index), lambda data: Image.new("1", _size(data)))

    def length(self, index: int, most: float = math.inf) -> int:
        columns = self._read(index)
        sizes = [_size(image["bytes"]) for image in columns["images"]]
        return length(sizes, [columns["question"], *columns["choices"]], most)

    def _read(self, index: int) -> dict[str, Any]:
        group = bisect_right(self._starts, index) - 1
        path, number = self._groups[group]
        table = _read_group(str(path), number)
        columns: dict[str, Any] = table.slice(index - self._starts[group], 1).to_pylist()[0]
        return columns

    def _made(self, columns: dict[str, Any], decode: Callable[[bytes], Image.Image]) -> Row:
        return Row(
            id=columns["id"],
            domain=self._domain,
            images=tuple(decode(image["bytes"]) for image in columns["images"]),
            question=columns["question"],
            answer=columns["answer"],
            answer_type=columns["answer_type"],
            choices=tuple(columns["choices"]),
            coordinates=self.manifest.coordinates,
            stratum=columns["stratum"],
            extra=json.loads(columns["extra"]),
        )


class Picked(Rows):
    """Some rows of others, by index."""

    def __init__(self, rows: Sequence[Row], picks: Sequence[int]) -> None:
        self._rows, self._picks = rows, picks

    def __len__(self) -> int:
        return len(self._picks)

    def row(self, index: int) -> Row:
        return self._rows[self._picks[index]]

    def unseen(self, index: int) -> Row:
        return unseen_of(self._rows, self._picks[index])

    def length(self, index: int, most: float = math.inf) -> int:
        return length_of(self._rows, self._picks[index], most)


def _size(data: bytes) -> tuple[int, int]:
    """Width and height, as an image's header says them."""
    with Image.open(io.BytesIO(data)) as opened:
        return opened.size


def _metadata(path: Path, rows: int) -> pq.FileMetaData:
    try:
        metadata = pq.read_metadata(path)
        names = metadata.schema.to_arrow_schema().names
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is missing or damaged: {error}") from error
    if metadata.num_rows != rows or names != list(FEATURES):
        raise DataError(f"{path} is not the part that its manifest names")
    return metadata


@lru_cache(maxsize=GROUPS_KEPT)
def _read_group(path: str, number: int) -> pa.Table:
    return pq.ParquetFile(path).read_row_group(number)
