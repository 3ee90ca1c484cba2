"""Times, dates, ratios and ranges: numbers that are no arithmetic, whatever signs join them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from rewards.quantities import DECIMAL, Quantity, quantity_of

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = r"(?P<month>[A-Za-z]{3,9})\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4})"
_DATES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_DAY}(?: of)? {_MONTH}(?:,? {_YEAR})?",
        rf"{_MONTH} {_DAY}(?:,? {_YEAR})?",
        rf"{_MONTH},? {_YEAR}",
        rf"{_YEAR}(?P<sign>[-/.])(?P<month>\d{{1,2}})(?P=sign){_DAY}",
    )
)
_DAY_OR_MONTH_FIRST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})")
_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?\s*(?:([ap])\.?\s?m\.?)?", re.IGNORECASE)
_COLONS = re.compile(r"\d+(?:\.\d+)?(?:\s?:\s?\d+(?:\.\d+)?)+")
_RANGE = re.compile(rf"([+-]?{DECIMAL})(\s?)(-|to)(\s?)([+-]?{DECIMAL}(?:\s?\D.*)?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time of the day, a date, a ratio or a range; equal only to the same."""

    kind: str
    parts: tuple[object, ...]


def moments_of(text: str) -> list[Moment | Quantity]:
    """The readings of a plain text that is nothing but a time, a date, a ratio or a range.

    A ratio that can be no time of the day is also the fraction that it is. Empty where the text is
    something else.
    """
    if len(text) > 60:
        return []
    if clock := _clock(text):
        return [clock]
    if date := _date(text):
        return [date]
    if _COLONS.fullmatch(text):
        return _ratio([Fraction(part) for part in text.replace(" ", "").split(":")], text)
    span = _span(text)
    return [] if span is None else [span]


def is_arithmetic(text: str) -> bool:
    """Whether a range could as well be a difference: `8-3` and `10 - 20`, but not `10-20`."""
    found = _RANGE.fullmatch(text)
    if found is None or found[3] != "-":
        return False
    first, last = quantity_of(found[1]), quantity_of(found[5])
    is_spaced = bool(found[2] and found[4])
    return first is not None and last is not None and (is_spaced or first.value >= last.value)


def _clock(text: str) -> Moment | None:
    found = _CLOCK.fullmatch(text)
    if found is None or not (found[2] or found[4]):
        return None
    hour, minute, second = (int(part or 0) for part in found.groups()[:3])
    if found[4]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (found[4].lower() == "p")
    if hour > 24 or minute > 59 or second > 59:
        return None
    return Moment("time", (hour, minute, second))


def _date(text: str) -> Moment | None:
    """Year, month and day, each None where it is not said."""
    for pattern in _DATES:
        if found := pattern.fullmatch(text):
            said = found.groupdict()
            month = _month(said["month"])
            day = int(said["day"]) if said.get("day") else None
            year = int(said["year"]) if said.get("year") else None
            if month is not None and (day is None or 1 <= day <= 31):
                return Moment("date", (year, month, day))
    found = _DAY_OR_MONTH_FIRST.fullmatch(text)
    if found is None or (len(found[4]) == 2 and found[2] != "/"):
        return None
    first, second, year = int(found[1]), int(found[3]), int(found[4])
    if not (1 <= min(first, second) <= 12 and max(first, second) <= 31):
        return None
    if first > 12:
        return Moment("date", (year, second, first))
    if second > 12:
        return Moment("date", (year, first, second))
    return Moment("day or month first", (year, first, second))


def _month(said: str) -> int | None:
    if said.isdecimal():
        return int(said) if 1 <= int(said) <= 12 else None
    name = said.lower()
    short = [month[:3] for month in _MONTHS]
    if name in _MONTHS:
        return _MONTHS.index(name) + 1
    return short.index(name[:3]) + 1 if name in (*short, "sept") else None


def _ratio(terms: list[Fraction], text: str) -> list[Moment | Quantity]:
    ratio = Moment("ratio", tuple(terms))
    if len(terms) != 2 or terms[1] == 0 or terms[0] == terms[1] or re.search(r":\d\d$", text):
        return [ratio]
    return [ratio, Quantity(terms[0] / terms[1])]


def _span(text: str) -> Moment | None:
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    first, last = quantity_of(found[1]), quantity_of(found[5])
    if first is None or last is None:
        return None
    return Moment("range", (first.value, last.value, last.unit))
