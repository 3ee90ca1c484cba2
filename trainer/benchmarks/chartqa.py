"""ChartQA's test split: half its questions are people's, half were generated.

Columns of `lmms-lab/ChartQA`: `image`, `question`, `answer`, `type`; of `HuggingFaceM4/ChartQA`:
`image`, `query`, `label` (a list of one), `human_or_machine` (0 or 1). Both are read.
"""

from __future__ import annotations

from trainer.domains import fields
from trainer.domains.source import Draft, Record, Source


def convert(record: Record) -> Draft:
    if "query" in record:
        labels = fields.texts(record, "label")
        question, answer = fields.text(record, "query"), labels[0] if labels else ""
        kind = "human_test" if record.get("human_or_machine") == 0 else "augmented_test"
    else:
        question, answer = fields.text(record, "question"), fields.text(record, "answer")
        kind = fields.text(record, "type")
    return Draft(question, answer, "text", images=fields.pictures(record, "image"), stratum=kind)


TEST = Source(
    name="chartqa",
    domain="chartqa",
    convert=convert,
    rule="exact",
    official=("chartqa-relaxed",),
    hub="lmms-lab/ChartQA",
    split="test",
    files=("**/test-*.parquet",),
    paper_rows=2500,
)
