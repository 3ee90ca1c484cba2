"""The user's own data: a JSONL, JSON or Parquet file with images, or a YAML that maps columns.

Nothing that the data says is trusted: paths of images stay inside the folder, templates only put
columns' texts into words, and no text is ever evaluated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml  # type: ignore[import-untyped]
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from rewards.rules import RULES, rule_named
from rewards.scoring import AnswerType
from service.notation import yaml_text
from service.plain_errors import listed, located
from service.schemas import Name
from trainer.domains import fields, options, own_columns, own_pictures
from trainer.domains.errors import DataError, Dropped
from trainer.domains.options import Options
from trainer.domains.own_columns import Columns
from trainer.domains.source import BoxUnit, Draft, Record, Source

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
        found = listed(located(problem, "the file") for problem in error.errors())
        raise DataError(f"{path}: {found}") from error


def convert(record: Record, spec: OwnData) -> Draft:
    """A record of the user's as a draft.

    Raises:
        Dropped: the row is wrong.
        DataError: the row has film or sound, so the dataset is not one of images and text.
    """
    for column in _MEDIA_COLUMNS:
        if record.get(column) and not own_columns.is_empty(record[column]):
            raise DataError(
                f"column {column!r} of {spec.name} holds film or sound; "
                "only text and images are supported"
            )
    columns = spec.columns
    choices = _options(record, columns)
    answer = own_columns.value(record, columns.answer)
    kind = _answer_type(record, spec, choices)
    boxes = kind == "boxes"
    return Draft(
        id=own_columns.text(record, columns.id),
        question=own_columns.text(record, columns.question),
        answer="" if boxes else _answer(answer, kind, choices, spec),
        answer_type=kind,
        images=own_pictures.pictures(record, columns),
        choices=choices.texts if kind == "choice" else (),
        boxes=_boxes(answer, spec) if boxes else (),
        box_unit=spec.box_unit,
        stratum=own_columns.text(record, columns.stratum),
    )


def _options(record: Record, columns: Columns) -> Options:
    if isinstance(columns.choices, list):
        texts = [own_columns.text(record, column) for column in columns.choices]
        names = [column for column in columns.choices if isinstance(column, str)]
        return options.of_columns(texts, names if len(names) == len(texts) else ())
    return options.read(columns.read(record, "choices"))


def _answer_type(record: Record, spec: OwnData, choices: Options) -> AnswerType:
    kind = own_columns.text(record, spec.columns.answer_type)
    match kind:
        case "boxes" | "choice" | "text" | "number":
            return kind
        case "":
            return spec.answer_type or ("choice" if choices.texts else "text")
    raise Dropped("malformed row", f"unknown answer_type {kind!r:.40}")


def _answer(answer: Any, kind: AnswerType, choices: Options, spec: OwnData) -> str:
    if kind == "choice" and spec.answer_form == "index":
        is_text = isinstance(answer, str) and answer.strip().removesuffix(".0").isdecimal()
        index = int(answer.strip().removesuffix(".0")) if is_text else answer
        return fields.lettered(index, len(choices.texts))
    text = fields.text({"answer": answer}, "answer")
    return choices.letter_of(text) if kind == "choice" else text


def _boxes(answer: Any, spec: OwnData) -> tuple[tuple[float, float, float, float], ...]:
    if own_columns.is_empty(answer):
        raise Dropped("empty answer")
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
