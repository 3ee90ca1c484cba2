"""Text and data that every database can hold. PostgreSQL refuses what SQLite takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

MAX_NESTING: Final = 50
"""Levels of objects and lists within each other: more than anyone writes, and few enough for every
program that reads them again."""

SMALLEST: Final = -(2**63)
LARGEST: Final = 2**64 - 1
"""Integers of 64 bits, with a sign or without. Longer ones are not read by every program, and of
some thousand digits not by this one."""

TAG: Final = r"\w[\w .:/@+#-]{0,39}"
"""What a tag of a trial is, as a pattern. It begins with a letter or digit, so that no spreadsheet
takes it for a formula."""


def storable(text: str) -> str:
    """The text itself.

    Raises:
        ValueError: it holds what databases and JSON writers trip over.
    """
    if "\x00" in text:
        raise ValueError("text must not hold the character U+0000")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("text must not hold half of a surrogate pair")
    return text


def shallow(value: Any, most: int = MAX_NESTING) -> Any:
    """The value itself, whatever it is.

    Raises:
        ValueError: objects and lists lie in each other more than `most` deep.
    """
    level: list[Any] = [value]
    for _ in range(most + 1):
        containers = [part for part in level if isinstance(part, dict | list)]
        if not containers:
            return value
        level = [
            inner
            for part in containers
            for inner in (part.values() if isinstance(part, dict) else part)
        ]
    raise ValueError(f"objects and lists must not be nested more than {most} levels deep")


def storable_throughout(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON object itself.

    Raises:
        ValueError: a text anywhere in it is not storable, or a number not finite or too long.
    """
    rest: list[Any] = [value]
    while rest:
        part = rest.pop()
        if isinstance(part, float) and not math.isfinite(part):
            raise ValueError("numbers must be finite; JSON has no NaN or Infinity")
        if isinstance(part, int) and not SMALLEST <= part <= LARGEST:
            raise ValueError("integers must not have more than 64 bits; send longer ones as text")
        if isinstance(part, str):
            storable(part)
        elif isinstance(part, list):
            rest += part
        elif isinstance(part, dict):
            rest += [*part.keys(), *part.values()]
    return value
