"""The user's own data: a JSONL, JSON or Parquet file with images, or a YAML that maps columns.

Nothing that the data says is trusted: paths of images stay inside the folder, templates only put
columns' texts into words, and no text is ever evaluated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import yaml  # type: ignore[import-untyped]
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from rewards.rules import RULES, rule_named
from rewards.scoring import AnswerType
from service import yaml_text
from service.schemas import Name
from trainer.domains import fields
from trainer.domains.errors import DataError, Dropped
from trainer.domains.source import BoxUnit, Draft, Picture, Record, Source

Column = str | int
"""A column by name, a position in a list, or words with columns in braces: `images/{2}.png`."""

_BRACES = re.compile(r"\{([^{}]+)\}")
_FILMS = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v"}
_SOUNDS = {".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aac", ".opus"}
_MEDIA_COLUMNS = ("video", "videos", "audio", "audios")


def _rule(name: str) -> str:
    return rule_named(name).name


def _reward(name: str) -> str:
    rule = rule_named(name)
    if not rule.is_reward:
        safe = ", ".join(known.name for known in RULES.values() if known.is_reward)
        raise ValueError(f"{name!r} pays for wrong answers, so it is no reward; these are: {safe}")
    return rule.name


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Columns(_Part):
    """Which of the data's columns is what."""

    id: Column | None = "id"
    images: Column | list[Column] | None = "images"
    question: Column = "question"
    answer: Column = "answer"
    choices: Column | list[Column] | None = "choices"
    stratum: Column | None = "stratum"
    answer_type: Column | None = "answer_type"


class OwnData(_Part):
    """How to read a dataset of the user's; what a YAML holds."""

    name: Name
    path: str | None = None
    """File or folder, from the YAML's folder: `.jsonl`, `.json` (a list), or Parquet."""
    images: str | None = None
    """Folder of the images, from the YAML's folder; default where the file lies."""
    hub: str | None = None
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    columns: Columns = Columns()
    answer_type: AnswerType | None = None
    """Of rows that say nothing themselves; default `choice` for rows with options, else `text`."""
    answer_form: Literal["letter or text", "index"] = "letter or text"
    """What names the right option: its letter or text, or its index counted from 0."""
    boxes: Literal["corners", "corner and size"] = "corners"
    """`[x1, y1, x2, y2]`, or `[x, y, width, height]`."""
    box_unit: BoxUnit = "pixels"
    longer_side: Annotated[int, Field(ge=28, le=8192)] | None = None
    reward: Annotated[Name, AfterValidator(_reward)] | None = None
    """Scoring rule of training; default `box-iou` for boxes, else `exact`."""
    official: list[Annotated[Name, AfterValidator(_rule)]] = Field(default_factory=list)
    """Further rules that a benchmark is scored by."""
    take: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> OwnData:
        if (self.path is None) == (self.hub is None):
            raise ValueError("give either path (a file or folder) or hub (a dataset id)")
        return self

    def source(self) -> Source:
        """The dataset in the words of `data prepare`."""
        boxes = self.answer_type == "boxes"
        return Source(
            name=self.name,
            domain=self.name,
            convert=partial(convert, spec=self),
            rule=self.reward or ("box-iou" if boxes else "exact"),
            official=tuple(self.official),
            hub=self.hub,
            config=self.config,
            split=self.split,
            revision=self.revision,
            files=("**/*.parquet",),
            longer_side=self.longer_side,
            take=self.take,
            settings=self.model_dump_json(exclude={"path", "images"}),
        )


def load(path: Path) -> OwnData:
    """Reads a YAML.

    Raises:
        DataError: it cannot be read, or says something unknown.
    """
    try:
        raw = yaml_text.load(path.read_text(encoding="utf-8"))
        return OwnData.model_validate(raw)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    except ValidationError as error:
        lines = (
            f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise DataError(f"{path}: {'; '.join(lines)}") from error


def convert(record: Record, spec: OwnData) -> Draft:
    """A record of the user's as a draft.

    Raises:
        Dropped: the row is wrong.
        DataError: the row has film or sound, so the dataset is not one of images and text.
    """
    for column in _MEDIA_COLUMNS:
        if record.get(column):
            raise DataError(
                f"column {column!r} of {spec.name} holds film or sound; "
                "only text and images are supported"
            )
    columns = spec.columns
    choices = _choices(record, columns)
    answer = _value(record, columns.answer)
    kind = _answer_type(record, spec, choices)
    boxes = kind == "boxes"
    return Draft(
        id=_text(record, columns.id),
        question=_text(record, columns.question),
        answer="" if boxes else _answer(answer, kind, choices, spec),
        answer_type=kind,
        images=_pictures(record, columns.images),
        choices=choices if kind == "choice" else (),
        boxes=_boxes(answer, spec) if boxes else (),
        box_unit=spec.box_unit,
        stratum=_text(record, columns.stratum),
    )


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
    """The record with names of images replaced by files below the folder."""
    wanted = columns.images if isinstance(columns.images, list) else [columns.images]
    found: list[Any] = []
    for column in wanted:
        if column is None:
            continue
        value = _value(record, column)
        found += value if isinstance(value, list | tuple) else [value]
    pictures = [inside(folder, name) if isinstance(name, str) else name for name in found if name]
    return {**record, _FILES: pictures}


_FILES = "\0files"
"""Column of the images that a reader has found; no data can have it."""


def _value(record: Record, column: Column | None) -> Any:
    if column is None:
        return None
    if isinstance(column, int):
        return record.get(str(column))
    if _BRACES.search(column):
        return _BRACES.sub(lambda found: fields.text(record, found.group(1)), column)
    return record.get(column)


def _text(record: Record, column: Column | None) -> str:
    return fields.text({"value": _value(record, column)}, "value")


def _pictures(record: Record, columns: Column | list[Column] | None) -> tuple[Picture, ...]:
    if _FILES in record:
        return fields.pictures(record, _FILES)
    wanted = columns if isinstance(columns, list) else [columns]
    return tuple(
        picture
        for column in wanted
        for picture in fields.pictures({"image": _value(record, column)}, "image")
    )


def _choices(record: Record, columns: Columns) -> tuple[str, ...]:
    if isinstance(columns.choices, list):
        return tuple(_text(record, column) for column in columns.choices)
    return fields.texts({"choices": _value(record, columns.choices)}, "choices")


def _answer_type(record: Record, spec: OwnData, choices: tuple[str, ...]) -> AnswerType:
    said = _text(record, spec.columns.answer_type)
    match said:
        case "boxes" | "choice" | "text" | "number":
            return said
        case "":
            return spec.answer_type or ("choice" if choices else "text")
    raise Dropped("malformed row", f"unknown answer_type {said!r:.40}")


def _answer(answer: Any, kind: AnswerType, choices: tuple[str, ...], spec: OwnData) -> str:
    if kind != "choice":
        return fields.text({"answer": answer}, "answer")
    if spec.answer_form == "index":
        index = int(answer) if isinstance(answer, str) and answer.strip().isdecimal() else answer
        return fields.lettered(index, len(choices))
    text = fields.text({"answer": answer}, "answer")
    if text in choices:
        return fields.lettered(choices.index(text), len(choices))
    return fields.letter(text) or text


def _boxes(answer: Any, spec: OwnData) -> tuple[tuple[float, float, float, float], ...]:
    if isinstance(answer, str):
        try:
            answer = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise Dropped("malformed row", "the answer is no JSON list of boxes") from error
    if isinstance(answer, list | tuple) and answer and not isinstance(answer[0], list | tuple):
        answer = [answer]
    try:
        boxes = [tuple(float(number) for number in box) for box in answer]
        return tuple(
            (x, y, x + third, y + fourth)
            if spec.boxes == "corner and size"
            else (x, y, third, fourth)
            for x, y, third, fourth in boxes
        )
    except (TypeError, ValueError) as error:
        raise Dropped("malformed row", "the answer is no list of four numbers a box") from error


def as_record(value: Any) -> Record:
    """A JSON value as a record: an object, or a list whose columns are positions.

    Raises:
        Dropped: it is neither.
    """
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list):
        return {str(position): item for position, item in enumerate(value)}
    raise Dropped("malformed row", f"a row is {type(value).__name__}, not an object or a list")
