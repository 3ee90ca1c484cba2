"""Numbers in text."""

from __future__ import annotations

import re

# A run of digits is only ever tried from its start and never given back (`++`): time is linear in
# the text, where the plain patterns try every digit of a run again.
_GROUPED = re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b")
_SCIENTIFIC = re.compile(r"-?(?<!\d)\d++(?:\.\d++)?[eE][+-]?\d++")
_SIMPLE = re.compile(
    r"-?(?:(?<!\d)\d++\.\d++|\.\d++|(?<!\d)\d++\b)(?![eE][+-]?\d)(?![,\d])",
)
_ANY = re.compile("|".join(kind.pattern for kind in (_GROUPED, _SCIENTIFIC, _SIMPLE)))


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
    """The number that stands last in a text."""
    last = None
    for last in _ANY.finditer(text):  # noqa: B007 - only the last one counts
        pass
    return None if last is None else last[0]
