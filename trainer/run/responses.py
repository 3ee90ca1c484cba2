"""Responses kept as Parquet, so that they can be scored again by another rule."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rewards import corpus
from rewards.cases import Case
from rewards.corpus import Estimate
from rewards.rules import rule_named
from rewards.scoring import answer_score
from rewards.tags import answer_part
from trainer.rows import Row
from trainer.storage.files import write_whole

SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("step", pa.int64()),
        ("id", pa.string()),
        ("response", pa.string()),
        ("answer", pa.string()),
        ("answer_type", pa.string()),
        ("rule", pa.string()),
        ("extra", pa.string()),  # JSON
    ]
)

PAPER = "paper"
"""The name under which the paper's rule of each row goes."""


class NoResponses(ValueError):  # noqa: N818 - it is what was wrong
    """The file holds no responses of a run."""


def write(
    path: Path,
    benchmark: str,
    step: int,
    rule: str | None,
    rows: Sequence[Row],
    responses: Sequence[str],
    cases: Sequence[Case],
) -> None:
    """Keeps a benchmark's responses and what rules compare them with, whole or not at all.

    Args:
        rule: the paper's of the benchmark; None for that of each row's answer type.
        cases: each response as the benchmark's own rules read it.
    """
    columns = [
        [benchmark] * len(rows),
        [step] * len(rows),
        [row.id for row in rows],
        [response.encode(errors="replace").decode() for response in responses],
        [row.answer for row in rows],
        [row.answer_type for row in rows],
        [rule] * len(rows),
        [json.dumps(dict(case.extra)) for case in cases],
    ]
    out = io.BytesIO()
    pq.write_table(pa.table(columns, schema=SCHEMA), out)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, out.getvalue())


def read(path: Path) -> pa.Table:
    """The responses of a file.

    Raises:
        NoResponses: it cannot be read, or lacks a column.
    """
    try:
        found = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise NoResponses(f"cannot read {path}: {error}") from error
    missing = [name for name in SCHEMA.names if name not in found.column_names]
    if missing:
        raise NoResponses(f"{path} has no column {missing[0]!r}; it holds no responses of a run")
    if not found.num_rows:
        raise NoResponses(f"{path} holds no rows")
    return found


def rescore(found: pa.Table, rule: str) -> tuple[list[float], Estimate]:
    """Each response's score by a rule, and the score of all.

    `paper` gates by the response's form and takes each row's rule; any other rule reads the answer
    wherever it stands, as benchmarks' own rules do.

    Raises:
        UnknownRuleError: there is no rule of that name.
    """
    rows = found.to_pylist()
    if rule == PAPER:
        scores = [
            answer_score(
                row["response"],
                row["answer"],
                row["answer_type"],
                row["rule"],
                json.loads(row["extra"]),
            )
            for row in rows
        ]
        return scores, corpus.mean(scores)
    known = rule_named(rule)
    cases = [
        Case(answer_part(row["response"]), row["answer"], json.loads(row["extra"])) for row in rows
    ]
    scores = [known.score(case) for case in cases]
    return scores, known.together(scores, cases)
