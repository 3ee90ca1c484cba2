"""LISA's ReasonSeg: a described thing is to be found in an image.

A folder a split, in it `name.jpg` beside `name.json`. The JSON has `text` (several descriptions of
the same thing), `is_sentence`, and `shapes`: outlines `points` under a `label`, where `flag` and
`ignore` mark what is not the thing. Every description is a sample of its own; the thing's box is
around all its outlines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from trainer.domains import boxes, fields
from trainer.domains.errors import DataError, Dropped
from trainer.domains.source import Draft, Record, Source

SUFFIXES = (".jpg", ".jpeg", ".png")
SEED = 42
"""Of the order of samples (the paper shuffles and does not say how)."""


def convert(record: Record) -> Draft:
    """One description as a question for one box."""
    if "error" in record:
        raise Dropped("malformed row", record["error"])
    description = fields.text(record, "text")
    if not description:
        raise Dropped("empty question")
    sentence = bool(record.get("is_sentence"))
    question = description if sentence else f"Find {description} in the image."
    return Draft(
        question=question,
        answer="",
        answer_type="boxes",
        images=fields.pictures(record, "image"),
        boxes=(boxes.around(_outline(record.get("shapes"))),),
        clip=True,
        id=record["id"],
        stratum="sentence" if sentence else "phrase",
    )


def _outline(shapes: Any) -> list[Any]:
    try:
        return [
            point
            for shape in shapes
            if _is_target(shape["label"])
            for point in shape["points"]
            if len(point) == 2 and all(isinstance(part, int | float) for part in point)
        ]
    except (TypeError, KeyError, AttributeError) as error:
        raise Dropped("malformed row", "shapes are not a list of {label, points}") from error


def _is_target(label: str) -> bool:
    return label.lower() != "flag" and "ignore" not in label.lower()


def read(folder: Path, split: str) -> list[Record]:
    """The samples of a split, shuffled: one for each description of each image.

    Raises:
        DataError: the folder has no such split.
    """
    place = folder / split if (folder / split).is_dir() else folder
    files = sorted(place.glob("*.json"))
    if not files:
        raise DataError(f"no ReasonSeg annotations (*.json) in {folder / split} nor in {folder}")
    records = [record for file in files for record in _samples(file)]
    Random(SEED).shuffle(records)
    return records


def _samples(file: Path) -> list[Record]:
    try:
        annotation = _annotation(file)
        descriptions = annotation["text"]
        if isinstance(descriptions, str):
            descriptions = [descriptions]
        shared = {
            "is_sentence": annotation.get("is_sentence"),
            "shapes": annotation.get("shapes"),
            "image": _image(file),
            "file": file.name,
        }
        return [
            shared | {"id": f"{file.stem}-{number}", "text": description}
            for number, description in enumerate(descriptions)
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [{"id": file.stem, "error": f"{file.name}: {error!r}", "file": file.name}]


def _annotation(file: Path) -> Mapping[str, Any]:
    data = file.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("cp1252")  # some published files are
    annotation: Mapping[str, Any] = json.loads(text)
    return annotation


def _image(file: Path) -> Path:
    """The image beside an annotation; one that is missing is told when it is read."""
    beside = (file.with_suffix(suffix) for suffix in SUFFIXES)
    return next((image for image in beside if image.is_file()), file.with_suffix(SUFFIXES[0]))


TRAIN = Source(
    name="lisa",
    domain="lisa",
    convert=convert,
    read=read,
    rule="box-iou",
    split="train",
    paper_rows=1326,
    longer_side=640,
)

TEST = Source(
    name="lisa-test",
    domain="lisa",
    convert=convert,
    read=read,
    rule="box-iou",
    official=("lisa-giou", "lisa-ciou"),
    split="test",
    paper_rows=3397,
    longer_side=640,
)
