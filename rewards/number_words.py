"""Numbers in English words."""

from __future__ import annotations

import re
from fractions import Fraction

_SMALL = {
    word: number
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
} | {
    word: 10 * tens
    for tens, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2
    )
}
MAGNITUDES = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 10**3,
    "lakh": 10**5,
    "million": 10**6,
    "crore": 10**7,
    "mn": 10**6,
    "billion": 10**9,
    "bn": 10**9,
    "trillion": 10**12,
    "tn": 10**12,
}
"""What a number may be followed by that multiplies it."""
_PARTS = {
    "half": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
    "twelfth": 12,
}
_WORD = re.compile(r"[\s-]*([A-Za-z]+)")
MAX_WORDS = 30


def leading(text: str) -> tuple[Fraction, str] | None:
    """The number whose words a text starts with (`minus twenty-five`), and the rest of it.

    None where it starts with no such words. "one hundred and five", "two thirds", "half", "three
    point one four", "a million" and "two and three quarters" are read too.
    """
    words, ends = _words(text)
    sign = -1 if words and words[0] in ("minus", "negative") else 1
    start = 1 if sign < 0 else 0
    read = _read(words[start:])
    if read is None:
        return None
    number, used = read
    return sign * number, text[ends[start + used - 1] :]


def share_behind(text: str) -> tuple[Fraction, str] | None:
    """What a text adds to the whole number before it (` and a half`, `-and-three-quarters`), and
    the rest of it; None where it adds none."""
    words, ends = _words(text)
    found = _and_share(words, 0)
    return None if found is None else (found[0], text[ends[found[1] - 1] :])


def _words(text: str) -> tuple[list[str], list[int]]:
    """The words that a text starts with, in small letters, and where each ends."""
    words: list[str] = []
    ends: list[int] = []
    place = 0
    while len(words) < MAX_WORDS and (found := _WORD.match(text, place)):
        words.append(found[1].lower())
        ends.append(place := found.end())
    return words, ends


def _part(word: str, n: int) -> int | None:
    """How many such parts make one: `half`, `thirds`. Behind a greater number a single one counts
    places: the twenty-third."""
    if word == "halves":
        return 2
    if n >= 10 and not word.endswith("s"):
        return None
    return _PARTS.get(word.removesuffix("s"))


def _and_share(words: list[str], place: int) -> tuple[Fraction, int] | None:
    """A share of one that is said with "and" from a place on, and where it ends."""
    if words[place : place + 1] != ["and"]:
        return None
    n, at = 1, place + 1
    first = words[at] if at < len(words) else ""
    if first in ("a", "an") or first in _SMALL:
        n, at = _SMALL.get(first, 1), at + 1
    elif first != "half":
        return None
    part = _part(words[at], n) if at < len(words) else None
    return None if part is None or not 0 < n < part else (Fraction(n, part), at + 1)


def _read(words: list[str]) -> tuple[Fraction, int] | None:
    """The number that a list of words starts with, and how many of them say it."""
    if (
        len(words) > 1
        and words[0] in ("a", "an")
        and (words[1] in MAGNITUDES or words[1] in _PARTS)
    ):
        words = ["one", *words[1:]]
    elif words and words[0] in _PARTS and words[0] == "half":
        return Fraction(1, 2), 1
    total, group, used, last = 0, 0, 0, 0
    for place, word in enumerate(words):
        if word in _SMALL:
            number = _SMALL[word]
            fits = last == 0 or last >= 100 or (20 <= last < 100 and number < 10 and number)
            if not fits:
                break
            group, last, used = group + number, number or 1, place + 1
        elif word in MAGNITUDES and ((used == place and used) or word == "dozen"):
            size = MAGNITUDES[word]
            if size <= 100:
                group = max(group, 1) * size
            elif group == 0 and total:  # ten thousand million
                total *= size
            else:
                total, group = total + max(group, 1) * size, 0
            last, used = size, place + 1
        elif word == "and" and last >= 100 and used == place and not _and_share(words, place):
            if place + 1 < len(words) and words[place + 1] in _SMALL:
                used += 1
            else:
                break
        else:
            break
    if used == 0:
        return None
    found = Fraction(total + group)
    after = words[used] if used < len(words) else ""
    if part := _part(after, int(found)):
        return found / part, used + 1
    if share := _and_share(words, used):
        return found + share[0], share[1]
    if after == "point":
        digits = []
        for word in words[used + 1 :]:
            if _SMALL.get(word, 10) > 9:
                break
            digits.append(str(_SMALL[word]))
        if digits:
            return found + Fraction("0." + "".join(digits)), used + 1 + len(digits)
    return found, used
