"""MMMU's validation split: college questions on up to seven images.

Columns: `id`, `question`, `options` (a Python list as text), `image_1` … `image_7`, `answer`,
`question_type` (`multiple-choice`, `open`), `subfield`, and others. Texts refer to their images as
`<image 1>`; the row keeps these words, and its images in their order.
"""

from __future__ import annotations

import ast
import re

from trainer.domains import fields
from trainer.domains.errors import Dropped
from trainer.domains.source import Draft, Picture, Record, Source

MAX_LIST = 20_000
"""Characters of a list written as text; a longer one is not read."""

_ID = re.compile(r"[a-z]+_(\w+?)_\d+")


def convert(record: Record) -> Draft:
    """An open question may accept several answers: the first is the row's, all are in `extra`."""
    choices = listed(fields.text(record, "options"))
    answer = fields.text(record, "answer")
    multiple = fields.text(record, "question_type") == "multiple-choice"
    accepted = [answer] if multiple or not answer.startswith("[") else list(listed(answer))
    name = fields.text(record, "id")
    subject = _ID.fullmatch(name)
    return Draft(
        question=fields.text(record, "question"),
        answer=accepted[0] if accepted else "",
        answer_type="choice" if multiple else "text",
        images=_images(record),
        choices=choices if multiple else (),
        id=name,
        stratum=subject.group(1) if subject else fields.text(record, "subfield"),
        extra={
            "question_type": "multiple-choice" if multiple else "open",
            "options": list(choices),
            "answer": answer if multiple else accepted,
        },
    )


def listed(text: str) -> tuple[str, ...]:
    """The strings of a list in Python's notation; only literals are read.

    Raises:
        Dropped: the text is not such a list.
    """
    if not text:
        return ()
    try:
        if len(text) > MAX_LIST:
            raise ValueError(f"{len(text)} characters")
        value = ast.literal_eval(text)
        if not isinstance(value, list | tuple):
            raise TypeError(type(value).__name__)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise Dropped("malformed row", f"not a list: {text!r:.60}") from error
    return tuple(str(item) for item in value)


def _images(record: Record) -> tuple[Picture, ...]:
    return tuple(
        picture for number in range(1, 8) for picture in fields.pictures(record, f"image_{number}")
    )


TEST = Source(
    name="mmmu",
    domain="mmmu",
    convert=convert,
    rule="exact",
    official=("mmmu",),
    hub="lmms-lab/MMMU",
    split="validation",
    files=("**/validation-*.parquet",),
    paper_rows=900,
)
