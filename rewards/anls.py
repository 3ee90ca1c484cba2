"""Average normalised Levenshtein similarity: nearly right text earns nearly everything.

Biten et al., "Scene Text Visual Question Answering" (ICCV 2019).
"""

from __future__ import annotations

from rapidfuzz.distance import Levenshtein

from rewards.cases import Case
from rewards.plain import plain

THRESHOLD = 0.5
"""A similarity below this is no similarity; at it, it counts."""

MAX_COMPARED = 20_000
"""Characters; two longer texts are the same or not similar at all."""


def anls(case: Case) -> float:
    """Best similarity to an accepted answer, in {0} and [0.5, 1].

    Edits are counted between texts in lower case with white space folded, and divided by the length
    of the longer one *before* folding, as published: white space around a wrong answer buys score.
    So this is for reports, and `anls_strict` for rewards.
    """
    given, length = folded(case.response), len(case.response.upper())
    return max(
        (
            similarity(given, folded(answer), max(length, len(answer.upper())))
            for answer in case.accepted
        ),
        default=0.0,
    )


def anls_strict(case: Case) -> float:
    """The same, divided by the length of the longer text as it is compared, in one spelling of
    what Unicode writes in several ways."""
    given = folded(plain(case.response))
    right = [folded(plain(answer)) for answer in case.accepted]
    return max(
        (similarity(given, answer, max(len(given), len(answer))) for answer in right), default=0.0
    )


def folded(text: str) -> str:
    """In lower case, white space around it removed and within it single."""
    return " ".join(text.lower().split())


def similarity(a: str, b: str, length: int) -> float:
    """One minus edits over length; 0 below the threshold."""
    if a == b:
        return 1.0
    if length == 0 or min(len(a), len(b)) > MAX_COMPARED:
        return 0.0
    most = int(length * (1 - THRESHOLD))
    edits = Levenshtein.distance(a, b, score_cutoff=most)
    return 0.0 if edits > most else max(0.0, 1 - edits / length)
