"""MathVista's testmini split.

Columns: `pid`, `question`, `decoded_image`, `choices`, `unit`, `precision`, `answer`,
`question_type` (`multi_choice`, `free_form`), `answer_type` (`text`, `integer`, `float`, `list`),
`metadata` with the `task`, and others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.domains import fields
from trainer.domains.errors import Dropped
from trainer.domains.source import Draft, Record, Source


def convert(record: Record) -> Draft:
    """A multiple-choice row's answer is its option's letter; its text is in `extra`."""
    answer, choices = fields.text(record, "answer"), fields.texts(record, "choices")
    kind = fields.text(record, "answer_type")
    metadata = record.get("metadata")
    images = fields.pictures(record, "decoded_image")
    if not images:
        raise Dropped("no image", filtered=True)
    multiple = fields.text(record, "question_type") == "multi_choice"
    precision: Any = record.get("precision")
    extra = {
        "answer": answer,
        "choices": list(choices),
        "question_type": fields.text(record, "question_type"),
        "answer_type": kind,
        "precision": None if fields.is_missing(precision) else int(precision),
    }
    if multiple and answer not in choices:
        raise Dropped("missing option", f"{answer!r:.60} is not among the choices")
    unit = fields.text(record, "unit")
    question = fields.text(record, "question")
    return Draft(
        question=f"{question} (Unit: {unit})" if question and unit else question,
        answer=fields.lettered(choices.index(answer), len(choices)) if multiple else answer,
        answer_type="choice" if multiple else "number" if kind in ("integer", "float") else "text",
        images=images,
        choices=choices if multiple else (),
        id=fields.text(record, "pid"),
        stratum=fields.text(metadata, "task") if isinstance(metadata, Mapping) else "",
        extra=extra,
    )


TEST = Source(
    name="mathvista",
    domain="mathvista",
    convert=convert,
    rule="exact",
    official=("mathvista",),
    hub="AI4Math/MathVista",
    split="testmini",
    files=("**/testmini-*.parquet",),
    paper_rows=1000,
)
