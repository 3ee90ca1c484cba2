"""Reads a source's records one by one, and goes on later where it stopped."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import datasets
import numpy as np
import pyarrow.parquet as pq
from datasets.features.features import FeatureType
from huggingface_hub import HfApi

from trainer.domains import files
from trainer.domains.errors import DataError, Dropped
from trainer.domains.manifest import Origin
from trainer.domains.source import Record, Source

Bookmark = dict[str, Any]
"""Where a reader stands, as JSON; an empty one is the start."""

Item = Record | Dropped
"""A record, or why it could not be read."""


class Place(NamedTuple):
    """Where a record stands in its source, as far as that is known."""

    file: str = ""
    """Name below the source's folder."""
    line: int | None = None
    """Of a text file, counted from 1."""
    row: int | None = None
    """Of the file, or of the source where it has none; counted from 1."""


class Reader(Protocol):
    """Records in a fixed order."""

    origin: Origin
    total: int | None
    """Number of records, where it is known before they are read."""

    def items(self, start: Bookmark) -> Iterator[Item]:
        """The records after a bookmark."""
        ...

    def bookmark(self) -> Bookmark:
        """Where the last iterator of `items` stands."""
        ...

    def place(self) -> Place:
        """Where the record stands that the last iterator of `items` gave last."""
        ...


class ListReader:
    """Records that are all in memory, their images not.

    Args:
        places: one a record; none where they are not known.
    """

    def __init__(
        self, records: Sequence[Item], origin: Origin, places: Sequence[Place] = ()
    ) -> None:
        self.origin = origin
        self.total: int | None = len(records)
        self._records, self._places, self._next = records, places, 0

    def items(self, start: Bookmark) -> Iterator[Item]:
        self._next = int(start.get("next", 0))
        for record in islice(self._records, self._next, None):
            self._next += 1
            yield record

    def bookmark(self) -> Bookmark:
        return {"next": self._next}

    def place(self) -> Place:
        return self._places[self._next - 1] if self._places else Place(row=self._next)


class StreamReader:
    """Records of a streamed dataset: Parquet files of this machine, or any dataset of the hub.

    Args:
        lengths: rows of each of its files by name, in order, where they are known.
    """

    def __init__(
        self,
        stream: datasets.IterableDataset,
        origin: Origin,
        total: int | None = None,
        lengths: Mapping[str, int] | None = None,
    ) -> None:
        features = stream.features or {}
        refuse_media(features, origin.name)
        # Images stay encoded: they are decoded in one place, with its limits.
        self._stream = stream.decode(False) if features else stream
        self._narrow = {name: kind for name, kind in features.items() if _has_narrow(kind)}
        self.origin, self.total, self._read = origin, total, 0
        self._files = list(lengths or {})
        self._starts = [0, *accumulate((lengths or {}).values())]

    def items(self, start: Bookmark) -> Iterator[Item]:
        self._read = int(start.get("read", 0))
        if start:
            self._stream.load_state_dict(start["stream"])
        for record in self._stream:
            self._read += 1
            exact = {name: _as_written(record[name], kind) for name, kind in self._narrow.items()}
            yield record | exact

    def bookmark(self) -> Bookmark:
        return {"read": self._read, "stream": self._stream.state_dict()}

    def place(self) -> Place:
        number = self._read - 1
        if not 0 <= number < self._starts[-1]:
            return Place(row=self._read)
        file = bisect_right(self._starts, number) - 1
        return Place(self._files[file], row=self._read - self._starts[file])


def _has_narrow(feature: Any) -> bool:
    """Whether a column holds floats of fewer than 64 bits."""
    if isinstance(feature, Mapping):
        return any(map(_has_narrow, feature.values()))
    if isinstance(feature, datasets.Value):
        return feature.dtype in ("float16", "float32")
    return hasattr(feature, "feature") and _has_narrow(feature.feature)


def _as_written(value: Any, feature: Any) -> Any:
    """A value whose narrow floats are the shortest that say the same: 1.1, not 1.10000002384."""
    if isinstance(feature, Mapping) and isinstance(value, Mapping):
        return {name: _as_written(part, feature.get(name)) for name, part in value.items()}
    if isinstance(value, list) and hasattr(feature, "feature"):
        return [_as_written(part, feature.feature) for part in value]
    if isinstance(value, float) and isinstance(feature, datasets.Value):
        narrow = {"float16": np.float16, "float32": np.float32}.get(feature.dtype)
        return value if narrow is None else float(str(narrow(value)))
    return value


def refuse_media(features: dict[str, FeatureType], name: str) -> None:
    """Passes for texts and images.

    Raises:
        DataError: a column is sound or film.
    """
    for column, feature in features.items():
        for kind in (datasets.Audio, datasets.Video):
            if isinstance(feature, kind) or isinstance(getattr(feature, "feature", None), kind):
                raise DataError(
                    f"column {column!r} of {name} holds {kind.__name__.lower()}; "
                    "only text and images are supported"
                )


def from_folder(source: Source, folder: Path) -> Reader:
    """Reads a local copy of a source's split.

    Raises:
        DataError: the folder has none of the source's files, or one is broken.
    """
    if source.read is not None:
        records = source.read(folder, source.split)
        places = [Place(str(record.get("file", ""))) for record in records]
        split = folder / source.split
        paths = [
            path for path in (split if split.is_dir() else folder).rglob("*") if path.is_file()
        ]
        return ListReader(records, _folder_origin(source, folder, paths), places)
    paths = parquet_files(source, folder)
    return parquet_reader(paths, _folder_origin(source, folder, paths), folder)


def _folder_origin(source: Source, folder: Path, paths: Sequence[Path]) -> Origin:
    return Origin(
        kind="folder",
        name=folder.resolve().name,
        config=source.config,
        split=source.split,
        revision=files.fingerprint(paths, folder),
    )


def parquet_reader(paths: Sequence[Path], origin: Origin, folder: Path) -> Reader:
    """Streams Parquet files one after the other.

    Args:
        folder: where the files' names start from.

    Raises:
        DataError: a file is broken, or the files' columns differ.
    """
    names = [str(path) for path in paths]
    try:
        lengths = {str(path.relative_to(folder)): pq.read_metadata(path).num_rows for path in paths}
        stream = datasets.load_dataset(
            "parquet", data_files={"data": names}, split="data", streaming=True
        )
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"cannot read the Parquet files of {origin.name}: {error}") from error
    return StreamReader(stream, origin, sum(lengths.values()), lengths)


def parquet_files(source: Source, folder: Path) -> list[Path]:
    """The files of a source's split in a local copy.

    Raises:
        DataError: there are none.
    """
    if not folder.is_dir():
        raise DataError(f"no folder {folder}")
    for pattern in source.files:
        found = sorted(path for path in folder.glob(pattern) if path.is_file())
        if found:
            return found
    wanted = " or ".join(source.files)
    raise DataError(
        f"{folder} has no {wanted}: {source.name} is read from a copy of the hub dataset "
        f"{source.hub}, split {source.split!r}"
    )


def from_hub(source: Source) -> Reader:
    """Streams a dataset of the hub at one commit, without storing it.

    Raises:
        DataError: the source is not on the hub, the hub cannot be reached, or knows no such
            dataset, configuration or split.
    """
    if source.hub is None:
        raise DataError(f"{source.name} is not on the hub; give its folder with --source")
    try:
        revision = HfApi().dataset_info(source.hub, revision=source.revision).sha
        stream = datasets.load_dataset(
            source.hub, source.config, split=source.split, revision=revision, streaming=True
        )
    except Exception as error:  # the hub's client has changed its HTTP library, and so its errors
        raise DataError(
            f"cannot stream {source.hub} (split {source.split!r}) from the hub: {error}; "
            "a local copy can be given with --source FOLDER"
        ) from error
    origin = Origin(
        kind="hub",
        name=source.hub,
        config=source.config,
        split=source.split,
        revision=str(revision),
    )
    splits = stream.info.splits or {}
    known = splits.get(source.split)
    return StreamReader(stream, origin, known.num_examples if known else None)
