"""Which of the user's columns is what, and reading them."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict

from trainer.domains import fields
from trainer.domains.source import Record

Column = str | int
"""A column by name, a position in a list, or words with columns in braces: `images/{2}.png`."""

_BRACES = re.compile(r"\{([^{}]+)\}")
_OTHER_NAMES = {"images": "image", "choices": "options"}
"""What two of the columns are called as often; read where no mapping names the column."""


class Columns(BaseModel):
    """Which of the data's columns is what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Column | None = "id"
    images: Column | list[Column] | None = "images"
    question: Column = "question"
    answer: Column = "answer"
    choices: Column | list[Column] | None = "choices"
    stratum: Column | None = "stratum"
    answer_type: Column | None = "answer_type"

    def is_mapped(self, part: str) -> bool:
        """Whether the user said which column a part is."""
        return part in self.model_fields_set

    def names(self) -> set[str]:
        """The columns that are read as they are."""
        values = [getattr(self, part) for part in type(self).model_fields]
        return {
            str(column)
            for value in values
            for column in (value if isinstance(value, list) else [value])
        }

    def read(self, record: Record, part: str) -> Any:
        """A record's value of `images` or `choices`, each one column, under its other name too."""
        column = getattr(self, part)
        found = value(record, column)
        other = _OTHER_NAMES[part]
        if self.is_mapped(part) or not is_empty(found):
            return found
        return record.get(other)


def is_empty(found: Any) -> bool:
    """Whether a column holds nothing: no value, no text, no items."""
    return fields.is_missing(found) or (hasattr(found, "__len__") and len(found) == 0)


def value(record: Record, column: Column | None) -> Any:
    """What a column holds; a template's words with its columns' texts in them."""
    if column is None:
        return None
    if isinstance(column, int):
        return record.get(str(column))
    if _BRACES.search(column):
        return _BRACES.sub(lambda found: fields.text(record, found.group(1)), column)
    return record.get(column)


def text(record: Record, column: Column | None) -> str:
    """A column's text; empty where there is none.

    Raises:
        Dropped: the column holds something else.
    """
    name = "value" if column is None else str(column)
    return fields.text({name: value(record, column)}, name)


def used(column: Column) -> list[str]:
    """The columns that one names: itself, or those in its braces."""
    return _BRACES.findall(str(column)) or [str(column)]
