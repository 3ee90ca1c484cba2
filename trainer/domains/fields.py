"""Reading a record's columns, with an error that names the column."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trainer.domains.errors import Dropped
from trainer.domains.source import Picture, Record

_LETTER = re.compile(r"\(?([A-Z])\)?[.:)]?")


def text(record: Record, column: str) -> str:
    """A column's text, numbers included; empty where there is none.

    Raises:
        Dropped: the column holds something else.
    """
    value = record.get(column)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Dropped("malformed row", f"{column} is {type(value).__name__}, not text")
    return str(value).strip()


def texts(record: Record, column: str) -> tuple[str, ...]:
    """A column's list of texts; empty where there is none.

    Raises:
        Dropped: the column holds something else.
    """
    value = record.get(column)
    if value is None:
        return ()
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise Dropped("malformed row", f"{column} is {type(value).__name__}, not a list")
    return tuple(text({column: item}, column) for item in value)


def pictures(record: Record, column: str) -> tuple[Picture, ...]:
    """A column's image or list of images; empty where there is none.

    Raises:
        Dropped: the column holds something else.
    """
    value = record.get(column)
    if value is None:
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
    """The letter of option `index`, counted from 0.

    Raises:
        Dropped: there is no such option.
    """
    if isinstance(index, bool) or not isinstance(index, int):
        raise Dropped("malformed row", f"the answer is {index!r:.40}, not an option's index")
    if not 0 <= index < n_choices:
        raise Dropped("missing option", f"option {index} of {n_choices}")
    return chr(ord("A") + index)
