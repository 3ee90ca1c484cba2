"""ScienceQA: school science with options, the problems that have an image.

Columns: `image`, `question`, `choices`, `answer` (an option's index), `subject`, and others.
"""

from __future__ import annotations

from trainer.domains import fields
from trainer.domains.errors import Dropped
from trainer.domains.source import Draft, Record, Source


def convert(record: Record) -> Draft:
    """The problem with its answer's index turned into a letter."""
    images = fields.pictures(record, "image")
    if not images:
        raise Dropped("no image", filtered=True)
    choices = fields.texts(record, "choices")
    return Draft(
        question=fields.text(record, "question"),
        answer=fields.lettered(record.get("answer"), len(choices)),
        answer_type="choice",
        images=images,
        choices=choices,
        stratum=fields.text(record, "subject"),
    )


TRAIN = Source(
    name="scienceqa",
    domain="scienceqa",
    convert=convert,
    rule="exact",
    hub="derek-thomas/ScienceQA",
    files=("**/train-*.parquet",),
    paper_rows=6218,
)

TEST = Source(
    name="scienceqa-test",
    domain="scienceqa",
    convert=convert,
    rule="exact",
    official=("scienceqa-letter",),
    hub="derek-thomas/ScienceQA",
    split="test",
    files=("**/test-*.parquet",),
    paper_rows=2017,
)
