"""SAT: spatial questions on one or two rendered images.

Columns: `image_bytes` (list of images), `question`, `answers` (options), `correct_answer` (text of
the right one), `question_type`. The paper has the right answer's text as the answer, and does not
say that options are shown; they are not. They are in `extra`.
"""

from __future__ import annotations

from trainer.domains import fields
from trainer.domains.errors import Dropped
from trainer.domains.source import Draft, Record, Source


def convert(record: Record) -> Draft:
    answer = fields.text(record, "correct_answer")
    options = fields.texts(record, "answers")
    if options and answer and answer not in options:
        raise Dropped("missing option", f"{answer!r:.60} is not among {len(options)} answers")
    return Draft(
        question=fields.text(record, "question"),
        answer=answer,
        answer_type="text",
        images=fields.pictures(record, "image_bytes"),
        stratum=fields.text(record, "question_type"),
        extra={"choices": list(options)},
    )


TRAIN = Source(
    name="sat",
    domain="sat",
    convert=convert,
    rule="exact",
    hub="array/SAT",
    split="train",
    files=("**/SAT_train*.parquet", "**/train-*.parquet"),
    paper_rows=15_000,
    take=15_000,
)

TEST = Source(
    name="sat-test",
    domain="sat",
    convert=convert,
    rule="exact",
    official=("sat-text",),
    hub="array/SAT",
    split="val",
    files=("**/SAT_val*.parquet", "**/val-*.parquet"),
    paper_rows=1928,
)
