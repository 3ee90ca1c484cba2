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
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "eighth": 8, "tenth": 10}
_WORD = re.compile(r"[\s-]*([A-Za-z]+)")
MAX_WORDS = 30


def leading(text: str) -> tuple[Fraction, str] | None:
    """The number whose words a text starts with (`minus twenty-five`), and the rest of it.

    None where it starts with no such words. "one hundred and five", "two thirds", "half", "three
    point one four" and "a million" are read too.
    """
    words: list[str] = []
    ends: list[int] = []
    place = 0
    while len(words) < MAX_WORDS and (found := _WORD.match(text, place)):
        words.append(found[1].lower())
        ends.append(place := found.end())
    sign = -1 if words and words[0] in ("minus", "negative") else 1
    start = 1 if sign < 0 else 0
    read = _read(words[start:])
    if read is None:
        return None
    number, used = read
    return sign * number, text[ends[start + used - 1] :]


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
        elif word == "and" and last >= 100 and used == place:
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
    part = _PARTS.get(after) or _PARTS.get(after.removesuffix("s")) or {"halves": 2}.get(after)
    if part:
        return found / part, used + 1
    if after == "point":
        digits = []
        for word in words[used + 1 :]:
            if _SMALL.get(word, 10) > 9:
                break
            digits.append(str(_SMALL[word]))
        if digits:
            return found + Fraction("0." + "".join(digits)), used + 1 + len(digits)
    return found, used
