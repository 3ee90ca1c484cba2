"""Text that every database can hold. PostgreSQL refuses what SQLite takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


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


def storable_throughout(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON object itself.

    Raises:
        ValueError: a text anywhere in it is not storable, or a number not finite.
    """
    rest: list[Any] = [value]
    while rest:
        part = rest.pop()
        if isinstance(part, float) and not math.isfinite(part):
            raise ValueError("numbers must be finite; JSON has no NaN or Infinity")
        if isinstance(part, str):
            storable(part)
        elif isinstance(part, list):
            rest += part
        elif isinstance(part, dict):
            rest += [*part.keys(), *part.values()]
    return value
