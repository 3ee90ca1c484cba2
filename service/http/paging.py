"""How much of a long list one answer holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from pydantic import BaseModel

Item = TypeVar("Item", bound=BaseModel)

PAGE_BYTES = 900_000
"""An answer is not much longer, whatever its items have to say."""


def that_fit(items: Iterable[Item]) -> list[Item]:
    """The first of them, as many as one answer holds; one at least."""
    shown: list[Item] = []
    size = 0
    for item in items:
        shown.append(item)
        size += len(item.model_dump_json())
        if size > PAGE_BYTES:
            break
    return shown
