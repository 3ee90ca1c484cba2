"""Parquet files of prepared rows, and what tells files apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, Image, List, Value

from trainer.domains.errors import DataError
from trainer.storage import files as storage_files

ROWS_PER_GROUP = 16
"""Rows that are read together when one is wanted."""

FEATURES = Features(
    {
        "id": Value("string"),
        "domain": Value("string"),
        "images": List(Image()),
        "question": Value("string"),
        "answer": Value("string"),
        "answer_type": Value("string"),
        "choices": List(Value("string")),
        "stratum": Value("string"),
        "extra": Value("string"),
    }
)
"""Columns of a prepared Parquet file; `datasets` reads its images as images."""


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> str:
    """Writes a Parquet file of canonical rows; its SHA-256."""
    return write_table(path, pa.Table.from_pylist(list(rows), schema=FEATURES.arrow_schema))


def write_table(path: Path, table: pa.Table) -> str:
    """Writes a table in groups of few rows; its SHA-256. Images are compressed already."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=ROWS_PER_GROUP, compression="zstd")
    data = sink.getvalue().to_pybytes()
    storage_files.write_whole(path, data)
    return hashlib.sha256(data).hexdigest()


def digest(path: Path) -> str:
    """SHA-256 of what a file holds.

    Raises:
        DataError: it cannot be read.
    """
    try:
        found = storage_files.sha256(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if found is None:
        raise DataError(f"cannot read {path}: there is no such file")
    return found


def fingerprint(paths: Sequence[Path], root: Path) -> str:
    """SHA-256 over names and contents: tells whether any was changed, the same for any copy.

    Raises:
        DataError: a file cannot be read.
    """
    lines = (f"{path.relative_to(root)}\0{digest(path)}\n" for path in sorted(paths))
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
