"""Short answers compared as text: exact match, letters, and words."""

from __future__ import annotations

from rewards.cases import Case

_EDGES = " \t\r\n.,;:!?'\"()[]{}*`"
"""What may stand around a word without changing it."""


def exact(case: Case) -> float:
    """1 for the row's answer to the letter, white space around it aside."""
    answers = (case.answer,) if isinstance(case.answer, str) else case.answer
    given = case.response.strip()
    return float(any(given == answer.strip() for answer in answers))


def letter(case: Case) -> float:
    """1 for the right option's letter, in either case, alone or before a full stop and anything.

    `B`, `b` and `B. because …` name option B; `(B)`, `B)` and `The answer is B` name none.
    """
    given, right = case.response.strip().casefold(), case.first.strip().casefold()
    return float(bool(right) and (given == right or given.startswith(right + ".")))


def words(case: Case) -> float:
    """1 for the same words: case, white space, and punctuation at the ends aside."""
    given = _folded(case.response)
    return float(any(given == _folded(answer) for answer in case.accepted))


def _folded(text: str) -> str:
    return " ".join((text.strip(_EDGES) or text).casefold().split())
