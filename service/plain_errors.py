"""What pydantic finds wrong, in words for people who know neither pydantic nor patterns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_NAMES = "letters, digits and . _ - after a letter or digit, at most 64 of them"

_SAID = {
    "missing": "is missing",
    "extra_forbidden": "is not a known key",
    "string_pattern_mismatch": f"{{input}} is no name: {_NAMES}",
    "less_than_equal": "{input} is more than {le:.12g}",
    "less_than": "{input} is not below {lt:.12g}",
    "greater_than_equal": "{input} is less than {ge:.12g}",
    "greater_than": "{input} is not above {gt:.12g}",
    "finite_number": "{input} is not a finite number",
    "literal_error": "{input} is not one of {expected}",
    "string_unicode": "holds a character that does not exist",
    "string_too_long": "is longer than {max_length} characters",
    "string_too_short": "is shorter than {min_length} characters",
    "too_long": "has {actual_length} entries; at most {max_length} are allowed",
    "too_short": "has {actual_length} entries; at least {min_length} must be there",
    "json_invalid": "is not JSON: {error}",
}

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping of names to values",
    "model": "a mapping of keys to values",
    "datetime": "a date with time",
}

LONGEST = 60
"""Characters of a value that a message repeats."""

MOST = 5
"""Faults that one message lists."""


def path_of(found: Mapping[str, Any]) -> str:
    """Where one of `ValidationError.errors()` is: `domains.0.name`; empty of the whole."""
    return ".".join(map(str, found["loc"]))


def located(found: Mapping[str, Any], whole: str = "") -> str:
    """One of `ValidationError.errors()` with where it is: `domains.0.name: is missing`.

    Args:
        whole: what the place is called of a fault of all of it; without, no place is said.
    """
    where, what = path_of(found), plain(found)
    if not where and whole and what.startswith(("is ", "has ")):
        return f"{whole} {what}"
    return at(where or whole, what)


def at(where: str, what: str) -> str:
    """A fault with its place, if it has one."""
    return f"{where}: {what}" if where else what


def listed(faults: Iterable[str]) -> str:
    """Faults in one line: the first few, and how many there are more."""
    found = list(faults)
    more = [f"and {len(found) - MOST} more"] if len(found) > MOST else []
    return "; ".join(found[:MOST] + more)


def plain(found: Mapping[str, Any], *, repeats: bool = True) -> str:
    """One of `ValidationError.errors()`, without where it is.

    Args:
        repeats: say what was given; not where it may be secret, or huge.
    """
    kind = str(found["type"])
    if kind == "value_error":
        return str(found["msg"]).removeprefix("Value error, ")
    if kind == "string_too_short" and found["ctx"]["min_length"] == 1:
        return "is empty"
    given = _shown(found.get("input")) if repeats else "it"
    if kind in _SAID:
        return _SAID[kind].format(input=given, **(found.get("ctx") or {}))
    family, _, rest = kind.partition("_")
    if family in _KINDS and rest in ("type", "parsing", "from_float", "attributes_type"):
        return f"{given} is not {_KINDS[family]}"
    return str(found["msg"])


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
