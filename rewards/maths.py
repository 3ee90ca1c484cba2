"""Equality of mathematical answers: numbers by exact arithmetic, formulas by math-verify.

Both texts must be whole expressions, or they are compared as words: `Table 2` is not `Figure 2`.
"""

from __future__ import annotations

import logging

from rewards.cases import Case
from rewards.math_judge import JUDGE, Judge
from rewards.plain import plain
from rewards.readings import Text, read, say_the_same

log = logging.getLogger(__name__)

MAX_LENGTH = 2000
"""Characters of an expression; two longer ones are equal if they are the same."""
SHOWN = 80


def score(case: Case, judge: Judge = JUDGE) -> float:
    """1 if the response is mathematically equal to an accepted answer, or the same words.

    0 also where math-verify gives no verdict on the response (it takes too long); a warning in the
    log says so. A judge that cannot work at all is an error, and never a score.

    Raises:
        MathVerifyMissing: it is not installed.
        JudgeBroken: its process does not start, or not again.
    """
    given = plain(case.response)
    accepted = [plain(answer) for answer in case.accepted]
    if given in accepted:
        return 1.0
    accepted = [a for a in accepted if 0 < len(a) <= MAX_LENGTH]
    if not accepted or not 0 < len(given) <= MAX_LENGTH:
        return 0.0
    said = read(given)
    rights = [read(answer) for answer in accepted]
    is_asked = False

    def unsure(right: str, other: str) -> bool:
        nonlocal is_asked
        known = _known(right, other)
        is_asked = is_asked or known is None
        return bool(known)

    # First without math-verify: what is plain must not wait for it.
    if any(say_the_same(right, said, unsure) for right in rights):
        return 1.0
    return float(is_asked and _judged(rights, said, judge, case))


def _judged(rights: list[Text], given: Text, judge: Judge, case: Case) -> bool:
    with judge.comparisons() as comparisons:

        def ask(right: str, other: str) -> bool:
            known = _known(right, other)
            return comparisons.is_equal(right, other) if known is None else known

        found = any(say_the_same(right, given, ask) for right in rights)
    if not found and comparisons.unjudged:
        log.warning(
            "math: no verdict on %d of %d comparisons of response %r with %r: %s; it scores 0",
            comparisons.unjudged,
            comparisons.asked,
            case.response[:SHOWN],
            case.accepted,
            comparisons.reason,
        )
    return found


def _known(right: str, other: str) -> bool | None:
    """What can be said of two formulas without reading them: the same text, or two letters."""
    a, b = right.replace(" ", ""), other.replace(" ", "")
    if a == b:
        return True
    return a.casefold() == b.casefold() if len(a) == len(b) == 1 and (a + b).isalpha() else None
