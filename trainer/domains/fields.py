"""Reading a record's columns, with an error that names the column."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

from trainer.domains.errors import Dropped
from trainer.domains.source import Picture, Record

_LETTER = re.compile(r"\(?([A-Z])\)?[.:)]?")
_EXACT = 2.0**53
"""From here on floats skip whole numbers."""


def is_missing(value: Any) -> bool:
    """Whether there is no value: tables write a gap as null, or as a number that is none (NaN)."""
    return value is None or (isinstance(value, float | Decimal) and math.isnan(value))


def text(record: Record, column: str) -> str:
    """A column's text, numbers and dates included; empty where there is none.

    Raises:
        Dropped: the column holds something else.
    """
    value = record.get(column)
    if is_missing(value):
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, date | time) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    if isinstance(value, float | Decimal) and math.isfinite(value):
        return f"{value:f}" if isinstance(value, Decimal) else _number(value)
    shown = "no finite number" if isinstance(value, float | Decimal) else type(value).__name__
    raise Dropped("malformed row", f"{column} is {shown}, not text")


def _number(value: float) -> str:
    """A column of whole numbers with a gap in it is one of floats: 5 stands there as 5.0."""
    return str(int(value)) if value.is_integer() and abs(value) < _EXACT else str(value)


def texts(record: Record, column: str) -> tuple[str, ...]:
    """A column's list of texts; empty where there is none.

    Raises:
        Dropped: the column holds something else.
    """
    value: Any = record.get(column)
    if is_missing(value):
        return ()
    if isinstance(value, str | Mapping) or not hasattr(value, "__iter__"):
        raise Dropped("malformed row", f"{column} is {type(value).__name__}, not a list")
    return tuple(text({column: item}, column) for item in value)


def pictures(record: Record, column: str) -> tuple[Picture, ...]:
    """A column's image or list of images; empty where there is none.

    Raises:
        Dropped: the column holds something else.
    """
    value = record.get(column)
    if is_missing(value):
        return ()
    items = value if isinstance(value, list | tuple) else [value]
    for item in items:
        if not isinstance(item, bytes | Mapping) and not hasattr(item, "read_bytes"):
            raise Dropped("malformed row", f"{column} is {type(item).__name__}, not an image")
    return tuple(items)


def letter(answer: str) -> str | None:
    """The letter of an answer that is nothing but one: `B`, `(B)`, `B.`; else None."""
    found = _LETTER.fullmatch(answer.strip())
    return found.group(1) if found else None


def lettered(index: Any, n_choices: int) -> str:
    """The letter of option `index`, counted from 0; a whole number in any of its forms.

    Raises:
        Dropped: there is no such option.
    """
    if is_missing(index) or index == "":
        raise Dropped("empty answer")
    if isinstance(index, float | Decimal) and math.isfinite(index) and index == int(index):
        index = int(index)
    if isinstance(index, bool) or not isinstance(index, int):
        raise Dropped("malformed row", f"the answer is {index!r:.40}, not an option's index")
    if not 0 <= index < n_choices:
        raise Dropped("missing option", f"option {index} of {n_choices}")
    return chr(ord("A") + index)
