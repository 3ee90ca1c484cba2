"""InfographicVQA's validation split: several answers are accepted for a question.

Columns: `questionId`, `question`, `answers`, `answer_type` (list), `image`, and others.
"""

from __future__ import annotations

from trainer.domains import fields
from trainer.domains.source import Draft, Record, Source


def convert(record: Record) -> Draft:
    """The first accepted answer is the row's; all of them are in `extra`."""
    answers = [answer for answer in fields.texts(record, "answers") if answer]
    kinds = fields.texts(record, "answer_type")
    return Draft(
        question=fields.text(record, "question"),
        answer=answers[0] if answers else "",
        answer_type="text",
        images=fields.pictures(record, "image"),
        id=fields.text(record, "questionId"),
        stratum=kinds[0] if kinds else "",
        extra={"answer": answers},
    )


TEST = Source(
    name="infovqa",
    domain="infovqa",
    convert=convert,
    rule="exact",
    official=("infovqa-anls",),
    hub="lmms-lab/DocVQA",
    config="InfographicVQA",
    split="validation",
    files=("InfographicVQA/validation-*.parquet", "**/validation-*.parquet"),
    paper_rows=2801,
)
