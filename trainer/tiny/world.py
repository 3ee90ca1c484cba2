"""The offline world as datasets: training rows of five domains, test rows of seven benchmarks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import Any, Literal

from PIL import Image

from trainer.benchmarks import table
from trainer.prompts import LETTERS
from trainer.rows import Row, Rows
from trainer.tiny import drawing
from trainer.tiny.questions import KINDS, Question, Reading
from trainer.tiny.sizes import DOMAIN_SIZES as DOMAIN_SIZES
from trainer.tiny.sizes import ITEMS

BENCHMARKS: dict[str, tuple[Literal["in", "out"], int]] = {
    name: (table.BENCHMARKS[name].group, table.BENCHMARKS[name].samples) for name in ITEMS
}
"""Group, and weight in In-Score or Out-Score: the paper's numbers of samples."""

CHANCE: dict[str, float] = {
    "lisa": 1 / 16,
    "sat": 1 / 6,
    "scienceqa": 1 / 4,
    "chartqa": 1 / 6,
    "infovqa": 1 / 6,
    "mathvista": 1 / 4,
    "mmmu": 1 / 4,
}
"""Score of a blind guess: one of 16 cells, one of 6 colours, or one of 4 options."""

Split = Literal["test", "tune"]


def domain_rows(domain: str, *, n: int | None = None, seed: int = 0) -> Sequence[Row]:
    """Training rows of a domain, drawn when asked for.

    Args:
        n: number of rows; None takes the domain's size.
        seed: another seed gives another dataset of the same kind.

    Raises:
        KeyError: no such domain.
    """
    if domain not in DOMAIN_SIZES:
        raise KeyError(f"unknown domain {domain!r}; known: {', '.join(DOMAIN_SIZES)}")
    return DrawnRows(domain, f"train-{seed}", DOMAIN_SIZES[domain] if n is None else n)


def benchmark_rows(benchmark: str, *, split: Split = "test", n: int | None = None) -> Sequence[Row]:
    """Test rows of a benchmark, drawn when asked for; `tune` and `test` are different draws.

    Raises:
        KeyError: no such benchmark.
    """
    if benchmark not in BENCHMARKS:
        raise KeyError(f"unknown benchmark {benchmark!r}; known: {', '.join(BENCHMARKS)}")
    return DrawnRows(benchmark, split, ITEMS[benchmark] if n is None else n)


class DrawnRows(Rows):
    """Rows of one kind and draw; row i depends on nothing but these and i."""

    def __init__(self, kind: str, draw: str, n: int) -> None:
        self._kind, self._draw, self._n = kind, draw, n

    def __len__(self) -> int:
        return self._n

    def row(self, index: int) -> Row:
        return _row(self._kind, self._draw, index)


def question(kind: str, draw: str, index: int) -> Question:
    """Question `index` of a draw."""
    return KINDS[kind](Random(f"{kind}/{draw}/{index}"))


def answer_text(asked: Question, reading: Reading) -> str:
    """What a reading's answer looks like in a row: JSON boxes, a letter, or a word."""
    if not isinstance(reading.answer, str):
        return json.dumps([list(box) for box in reading.answer])
    if asked.choices:
        return LETTERS[asked.choices.index(reading.answer)]
    return reading.answer


@lru_cache(maxsize=8192)
def _row(kind: str, draw: str, index: int) -> Row:
    asked = question(kind, draw, index)
    return Row(
        id=f"{kind}/{draw}/{index}",
        domain=kind,
        images=(Image.fromarray(asked.picture),),
        question=asked.text,
        answer=answer_text(asked, asked.readings[0]),
        answer_type=asked.answer_type,
        choices=asked.choices,
        extra=_extra(kind, asked),
    )


def _extra(kind: str, asked: Question) -> dict[str, Any]:
    """What the official rule of the benchmark that a kind mirrors needs."""
    match kind:
        case "lisa":
            return {"size": [drawing.SIDE, drawing.SIDE]}
        case "mathvista":
            return {
                "question_type": "multi_choice",
                "answer_type": "text",
                "choices": list(asked.choices),
                "answer": asked.readings[0].answer,
            }
        case "mmmu":
            return {"question_type": "multiple-choice", "options": list(asked.choices)}
    return {}
