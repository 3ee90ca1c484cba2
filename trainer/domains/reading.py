"""Reads a source's records one by one, and goes on later where it stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import datasets
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


class ListReader:
    """Records that are all in memory, their images not."""

    def __init__(self, records: Sequence[Item], origin: Origin) -> None:
        self.origin = origin
        self.total: int | None = len(records)
        self._records, self._next = records, 0

    def items(self, start: Bookmark) -> Iterator[Item]:
        self._next = int(start.get("next", 0))
        for record in islice(self._records, self._next, None):
            self._next += 1
            yield record

    def bookmark(self) -> Bookmark:
        return {"next": self._next}


class StreamReader:
    """Records of a streamed dataset: Parquet files of this machine, or any dataset of the hub."""

    def __init__(
        self, stream: datasets.IterableDataset, origin: Origin, total: int | None = None
    ) -> None:
        refuse_media(stream.features or {}, origin.name)
        # Images stay encoded: they are decoded in one place, with its limits.
        self._stream = stream.decode(False) if stream.features else stream
        self.origin, self.total = origin, total

    def items(self, start: Bookmark) -> Iterator[Item]:
        if start:
            self._stream.load_state_dict(start)
        return iter(self._stream)

    def bookmark(self) -> Bookmark:
        state: Bookmark = self._stream.state_dict()
        return state


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
        return ListReader(source.read(folder, source.split), _folder_origin(source, folder))
    paths = parquet_files(source, folder)
    return parquet_reader(paths, _folder_origin(source, folder, paths))


def _folder_origin(source: Source, folder: Path, paths: Sequence[Path] | None = None) -> Origin:
    if paths is None:
        paths = [path for path in folder.rglob("*") if path.is_file()]
    return Origin(
        kind="folder",
        name=folder.resolve().name,
        config=source.config,
        split=source.split,
        revision=files.fingerprint(paths, folder),
    )


def parquet_reader(paths: Sequence[Path], origin: Origin) -> Reader:
    """Streams Parquet files one after the other.

    Raises:
        DataError: a file is broken, or the files' columns differ.
    """
    names = [str(path) for path in paths]
    try:
        total = sum(pq.read_metadata(name).num_rows for name in names)
        stream = datasets.load_dataset(
            "parquet", data_files={"data": names}, split="data", streaming=True
        )
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"cannot read the Parquet files of {origin.name}: {error}") from error
    return StreamReader(stream, origin, total)


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
