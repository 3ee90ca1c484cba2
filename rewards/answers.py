"""Short answers compared as text: exact match, letters, and words."""

from __future__ import annotations

import unicodedata

from rewards.cases import Case
from rewards.plain import folded


def exact(case: Case) -> float:
    """1 for the row's answer to the letter, white space around it aside.

    The same letter is the same however Unicode composes it (NFC).
    """
    answers = (case.answer,) if isinstance(case.answer, str) else case.answer
    given = _letters(case.response)
    return float(any(given == _letters(answer) for answer in answers))


def letter(case: Case) -> float:
    """1 for the right option's letter, in either case, alone or before a full stop and anything.

    `B`, `b` and `B. because …` name option B; `(B)`, `B)` and `The answer is B` name none.
    """
    given, right = case.response.strip().casefold(), case.first.strip().casefold()
    return float(bool(right) and (given == right or given.startswith(right + ".")))


def words(case: Case) -> float:
    """1 for the same words: case, white space, and punctuation at the ends aside, whichever of
    Unicode's signs they are written with."""
    given = folded(case.response)
    return float(any(given == folded(answer) for answer in case.accepted))


def _letters(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())
