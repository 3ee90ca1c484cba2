"""Small datasets in the layouts that the published ones have."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, Image, List, Value
from PIL import Image as Pillow

from trainer.domains.manifest import Manifest
from trainer.domains.prepare import prepare
from trainer.domains.reading import from_folder
from trainer.domains.source import Source

TEXT, IMAGE, TEXTS = Value("string"), Image(), List(Value("string"))

COLUMNS: dict[str, Features] = {
    "coco": Features({"image": IMAGE, "problem": TEXT, "solution": TEXT}),
    "geoqav": Features(
        {
            "image": IMAGE,
            "problem": TEXT,
            "solution": TEXT,
            "original_question": TEXT,
            "original_answer": TEXT,
        }
    ),
    "sat": Features(
        {
            "image_bytes": List(IMAGE),
            "question": TEXT,
            "answers": TEXTS,
            "question_type": TEXT,
            "correct_answer": TEXT,
        }
    ),
    "scienceqa": Features(
        {
            "image": IMAGE,
            "question": TEXT,
            "choices": TEXTS,
            "answer": Value("int8"),
            "hint": TEXT,
            "subject": TEXT,
        }
    ),
    "chartqa": Features({"type": TEXT, "question": TEXT, "answer": TEXT, "image": IMAGE}),
    "infovqa": Features(
        {
            "questionId": TEXT,
            "question": TEXT,
            "answers": TEXTS,
            "answer_type": TEXTS,
            "image": IMAGE,
            "image_url": TEXT,
            "operation/reasoning": TEXTS,
            "ocr": TEXT,
            "data_split": TEXT,
        }
    ),
    "mathvista": Features(
        {
            "pid": TEXT,
            "question": TEXT,
            "image": TEXT,
            "decoded_image": IMAGE,
            "choices": TEXTS,
            "unit": TEXT,
            "precision": Value("float64"),
            "answer": TEXT,
            "question_type": TEXT,
            "answer_type": TEXT,
            "metadata": {"task": TEXT, "source": TEXT},
        }
    ),
    "mmmu": Features(
        {
            "id": TEXT,
            "question": TEXT,
            "options": TEXT,
            "explanation": TEXT,
            **{f"image_{number}": IMAGE for number in range(1, 8)},
            "img_type": TEXT,
            "answer": TEXT,
            "question_type": TEXT,
            "subfield": TEXT,
        }
    ),
}
"""Columns of each dataset's card, as far as they are read or told apart."""


def png(width: int = 20, height: int = 10, colour: Any = (200, 30, 30)) -> bytes:
    return _encoded(Pillow.new("RGB", (width, height), colour), "PNG")


def jpeg(width: int = 20, height: int = 10, colour: Any = (200, 30, 30)) -> bytes:
    return _encoded(Pillow.new("RGB", (width, height), colour), "JPEG")


def _encoded(image: Pillow.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def embedded(data: bytes) -> dict[str, Any]:
    """An image as `datasets` stores it in Parquet."""
    return {"bytes": data, "path": None}


def write_parquet(path: Path, layout: str, rows: Sequence[dict[str, Any]]) -> None:
    """Rows in a published dataset's columns; what a row leaves out is null."""
    features = COLUMNS[layout]
    whole = [dict.fromkeys(features) | row for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(whole, schema=features.arrow_schema), path)


def write_jsonl(path: Path, rows: Sequence[Any]) -> Path:
    """Rows as lines; a text is written as it is."""
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def prepared_from(source: Source, folder: Path, out: Path, **options: Any) -> Manifest:
    """A local copy of a source, prepared."""
    return prepare(source, from_folder(source, folder), out, **options)


COCO_PROBLEM = (
    "Detect everything that belongs to the category '{}', with boxes (integers from 0 to 1000).\n"
    "If there is nothing of the category '{}', return 'No Objects'.\n"
    "Put the answer between <answer> and </answer>."
)
"""A problem in the form of the published ones: it goes on with directions for the answer."""


def coco_row(box: Sequence[int] = (100, 200, 500, 600), **other: Any) -> dict[str, Any]:
    return {
        "image": embedded(jpeg(40, 20)),
        "problem": COCO_PROBLEM.format("cake", "cake"),
        "solution": f"<answer>[{{'Position': {list(box)}, 'Confidence': 1}}]</answer>",
    } | other
