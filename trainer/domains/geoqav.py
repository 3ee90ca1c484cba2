"""Multimodal-open-r1's 8k mathematics questions, those with a multiple-choice answer.

Columns: `image`, `problem` (the options stand in it, one a line), `solution` (reasoning, then
`<answer>…</answer>`), `original_question`, `original_answer`.
"""

from __future__ import annotations

import re

from trainer.domains import fields
from trainer.domains.errors import Dropped
from trainer.domains.source import Draft, Record, Source

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_CHOICE = re.compile(
    r"(?:the\s+)?(?:(?:correct|final|right)\s+)?(?:answer|option|choice)?\s*(?:is|:)?\s*"
    r"(?:option\s+|choice\s+)?\(?([A-H])\)?(?:[.:)]\s*[^\n]*)?\.?",
    re.IGNORECASE,
)
_OPTION = re.compile(r"^\s*\(?([A-H])\)?\s*[.:)]\s*(\S[^\n]*)$", re.MULTILINE)
_HEADING = re.compile(r"\n\s*(?:choices|options)\s*:?\s*$", re.IGNORECASE)


def convert(record: Record) -> Draft:
    """The question with its options taken out of its text where they stand in lines of their own.

    A question whose options do not is kept as it is, and has no `choices`.
    """
    problem = fields.text(record, "problem")
    if not problem:
        raise Dropped("empty question")
    answer = choice_of(fields.text(record, "solution"))
    if answer is None:
        raise Dropped("not multiple choice", filtered=True)
    images = fields.pictures(record, "image")
    if not images:
        raise Dropped("no image", filtered=True)
    question, choices = split_options(problem)
    return Draft(question, answer, "choice", images=images, choices=choices)


def choice_of(solution: str) -> str | None:
    """The letter that a solution's answer is, or None where it is something else."""
    tagged = _ANSWER.findall(solution)
    found = _CHOICE.fullmatch((tagged[-1] if tagged else solution).strip())
    return found.group(1).upper() if found else None


def split_options(problem: str) -> tuple[str, tuple[str, ...]]:
    """Question and options of a problem that ends in lines `A. …`, `B. …`; else it and none."""
    lines = list(_OPTION.finditer(problem))
    letters = "".join(line.group(1) for line in lines)
    starts_at_a = len(letters) > 1 and letters == "ABCDEFGH"[: len(letters)]
    if not starts_at_a or problem[lines[-1].end() :].strip():
        return problem, ()
    question = _HEADING.sub("", problem[: lines[0].start()].rstrip()).strip()
    return question, tuple(line.group(2).strip() for line in lines)


TRAIN = Source(
    name="geoqav",
    domain="geoqav",
    convert=convert,
    rule="exact",
    hub="lmms-lab/multimodal-open-r1-8k-verified",
    files=("**/train-*.parquet",),
    paper_rows=1969,
    longer_side=640,
)
