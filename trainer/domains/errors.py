"""What can go wrong with a dataset as a whole, and with one row of it."""

from __future__ import annotations

from typing import Literal


class DataError(ValueError):
    """A dataset cannot be prepared or read; the message says where and what would be right."""


Filter = Literal["no image", "not multiple choice", "no boxes"]
"""Rows that the paper leaves out on purpose."""

Fault = Literal[
    "malformed row",
    "broken image",
    "image too large",
    "animated image",
    "image too thin",
    "image not read",
    "image outside the folder",
    "empty question",
    "empty answer",
    "missing option",
    "answer is not a number",
    "answer outside the image",
    "empty box",
    "too many boxes",
    "duplicate id",
]
"""Rows that are wrong."""


class Dropped(Exception):  # noqa: N818 - it is what happens to a row
    """A row is left out.

    Attributes:
        reason: what the manifest counts it under.
        detail: what was found, for people.
        filtered: whether a filter of the paper took it; otherwise the row is wrong.
    """

    def __init__(self, reason: Filter | Fault, detail: str = "", *, filtered: bool = False) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: str = reason
        self.detail = detail[:200]
        self.filtered = filtered
