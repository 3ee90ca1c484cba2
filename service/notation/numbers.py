"""Numbers as spreadsheets write them: decimal commas, grouped thousands, percent signs, gaps."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Literal, NamedTuple

Mark = Literal[".", ",", ""]
"""Decimal mark of a file; empty where both occur, or neither."""

MISSING = frozenset(
    ["", "nan", "na", "n/a", "n.a.", "#n/a", "#na", "#nv", "<na>", "null", "none", "-", "–", "—"]
)
"""What stands for a value that is not there, in small letters."""

_SPACES = re.compile(r"(?<=\d)[ \u00a0\u202f\u2009'’](?=\d{3}(?!\d))")
"""Marks of thousands that are never decimal marks: 1 234, 1'234."""
_NUMBER = re.compile(r"(?P<sign>[+-]?)(?P<digits>\d[\d.,]*|[.,]\d+)(?P<power>[eE][+-]?\d+)?")
_THOUSANDS = {mark: re.compile(rf"[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+") for mark in ".,"}
_OTHER: dict[str, Literal[".", ","]] = {".": ",", ",": "."}


class Figure(NamedTuple):
    """A cell that was read."""

    value: float | None
    """None where there is none."""
    is_percent: bool = False
    """It has a percent sign; `value` is the fraction."""


def as_given(value: float) -> str:
    """A number with all its digits, `1.0000001`: rounded, it may look like what is right."""
    if not 1e-15 < abs(value) < 1e15:
        return f"{value:g}"
    return format(Decimal(repr(value)).normalize(), "f")


def read(text: str, mark: Mark) -> Figure:
    """A cell of a file with this decimal mark.

    Raises:
        ValueError: not a number, or one that can be read in two ways; says what would be right.
    """
    if text.strip().lower() in MISSING:
        return Figure(None)
    cleaned, is_percent = _cleaned(text)
    found = _NUMBER.fullmatch(cleaned)
    if found is None:
        raise ValueError("is not a number; leave the cell empty where there is no value")
    value = float(found["sign"] + _with_dot(found["digits"], mark) + (found["power"] or ""))
    if abs(value) == float("inf"):
        raise ValueError("is too large for a number")
    return Figure(value / 100 if is_percent else value, is_percent)


def decimal_mark(cells: Iterable[str], *, comma_likely: bool) -> Mark:
    """The decimal mark of a file, by those cells that can be read in one way only.

    Args:
        comma_likely: without any such cell it is the comma, as where `;` parts the columns.
    """
    seen = {_own_mark(cell) for cell in cells} - {None}
    if len(seen) == 1:
        return seen.pop() or ""
    return "," if comma_likely and not seen else ""


def _own_mark(cell: str) -> Mark | None:
    """The decimal mark of a cell that has one for sure."""
    found = _NUMBER.fullmatch(_cleaned(cell)[0])
    if found is None:
        return None
    digits = found["digits"]
    last = max(".,", key=digits.rfind)
    if last not in digits or digits.count(last) > 1:
        return None
    has_both = _OTHER[last] in digits
    return last if has_both or not _THOUSANDS[last].fullmatch(digits) else None  # type: ignore[return-value]


def _cleaned(text: str) -> tuple[str, bool]:
    """Without marks that mean nothing, and whether a percent sign was there."""
    cleaned = text.strip().replace("\u2212", "-")
    is_percent = cleaned.endswith("%")
    return _SPACES.sub("", cleaned.removesuffix("%").strip()), is_percent


def _with_dot(digits: str, mark: Mark) -> str:
    """Digits with marks as `float` takes them."""
    last = max(".,", key=digits.rfind)
    if last not in digits:
        return digits
    other = _OTHER[last]
    whole, _, rest = digits.rpartition(last)
    if other in digits:  # 1.234,5
        if last in whole or not _THOUSANDS[other].fullmatch(whole):
            raise ValueError("is not a number: its commas and dots are in no known order")
        return f"{whole.replace(other, '')}.{rest}"
    if not _THOUSANDS[last].fullmatch(digits) or (mark == last and last not in whole):
        if last in whole:
            raise ValueError("is not a number: it has two decimal marks")
        return f"{whole}.{rest}"
    if last in whole or mark == other:  # 1,234,567
        return digits.replace(last, "")
    if last == "." and mark == "":
        return digits
    plain = digits.replace(last, "")
    raise ValueError(
        f"can be read as {whole}.{rest} and as {plain}; write {whole}.{rest}0 or {plain}"
    )
