"""ChartQA's relaxed accuracy: numbers may be off by 5%, all else must be the same text.

Methani et al., "PlotQA" (WACV 2020), for the rule; as lmms-eval applies it.
"""

from __future__ import annotations

from rewards.cases import Case
from rewards.numbers import to_float

TOLERANCE = 0.05
"""Of the right number's size."""


def relaxed(case: Case) -> float:
    """1 for a number within 5% of the right one, or the same text in either case.

    A per cent sign at the end divides by 100. A right answer of 0 has no 5% and is compared as
    text, and so is whatever is no number. White space around text counts.
    """
    return float(any(_is_near(case.response, answer) for answer in case.accepted))


def _is_near(given: str, right: str) -> bool:
    number, target = _number(given), _number(right)
    if number is not None and target:
        return abs(number - target) / abs(target) <= TOLERANCE
    return given.lower() == right.lower()


def _number(text: str) -> float | None:
    if text.endswith("%"):
        number = to_float(text.rstrip("%"))
        return None if number is None else number / 100
    return to_float(text)
