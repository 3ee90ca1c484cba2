"""Numbers in text."""

from __future__ import annotations

import re

from rewards.plain import plain
from rewards.quantities import DECIMAL, decimal_point

# A run of digits is only ever tried from its start and never given back (`++`): time is linear in
# the text, where the plain patterns try every digit of a run again.
_GROUPED = re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b")
_SCIENTIFIC = re.compile(r"-?(?<!\d)\d++(?:\.\d++)?[eE][+-]?\d++")
_SIMPLE = re.compile(
    r"-?(?:(?<!\d)\d++\.\d++|\.\d++|(?<!\d)\d++\b)(?![eE][+-]?\d)(?![,\d])",
)

LOOKED_AT = 10_000
"""Characters at the end of a text in which its last number is looked for."""

_MONEY = r"(?:[$€£¥₹]\s?)?"
_ONE = re.compile(
    r"(?<![\w^])(?<!\d[.,:/])"
    rf"(?P<sign>-(?=[\d.$€£¥₹])|(?:^|(?<=[=:(])|(?<=[=:(]\s))-\s)?{_MONEY}(?P<inner>-)?"
    rf"(?P<number>{DECIMAL})(?P<power>[eE][+-]?\d++)?(?P<below>/\d++)?(?P<more>[:/]\d|[.,]\d|\^\{{?\d)?"
)
"""A number where a text may have one: not in a word (`cm2`), a power, a time or a date; a minus is
a sign only where no number or word stands right before it."""
_LISTED = re.compile(r"[\[(][^\[\]()]*[\])]|(?<![\d.,])\d++(?:,\d++){2,}+")
_GROUPED_ALONE = re.compile(r"\D*[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}(?:\.\d+)?\D*")


def to_float(text: str) -> float | None:
    """The number that a text is, as Python reads it (`1_000`, `inf` and `nan` too), else None."""
    try:
        return float(text)
    except ValueError:
        return None


def written_in(text: str) -> list[str]:
    """All numbers in a text: with thousands in groups, then scientific, then plain ones."""
    return [*_GROUPED.findall(text), *_SCIENTIFIC.findall(text), *_SIMPLE.findall(text)]


def last_in(text: str) -> str | None:
    """The number that stands last in a text, as Python reads it; None where it has none.

    Thousands may be grouped and decimals set off in either style (`1,234.5`, `1.234,5`), the minus
    may be any of Unicode's, a currency may stand before it; `3/4` is one number.
    """
    last = None
    for found in _ONE.finditer(_LISTED.sub(_apart, plain(text[-LOOKED_AT:]))):
        if not found["more"]:
            last = found
    if last is None:
        return None
    number = decimal_point(last["number"]) + (last["power"] or "")
    if last["below"]:
        below = float(last["below"][1:])
        if below == 0:
            return None
        number = repr(float(number) / below)
    return ("-" if last["sign"] or last["inner"] else "") + number


def _apart(found: re.Match[str]) -> str:
    """A list's numbers, which are not decimals with commas: `(3,4)` and `1,2,3`."""
    return found[0] if _GROUPED_ALONE.fullmatch(found[0]) else found[0].replace(",", ", ")
