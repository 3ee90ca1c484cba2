"""What a rule judges: one response against one right answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """One response and what it is compared with."""

    response: str
    answer: str | tuple[str, ...]
    """The right answer, or all that are accepted."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What else a rule needs: options, kind of question, image size. An `answer` in it is what
    benchmark rules compare with instead."""

    @property
    def accepted(self) -> tuple[str, ...]:
        """The answers that a benchmark rule accepts."""
        given = self.extra.get("answer", self.answer)
        if isinstance(given, str):
            return (given,)
        if isinstance(given, list | tuple):
            return tuple(str(answer) for answer in given)
        return () if given is None else (str(given),)

    @property
    def first(self) -> str:
        """The answer for rules that accept only one; empty where there is none."""
        return self.accepted[0] if self.accepted else ""

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts in `extra`; empty where it is missing or no list."""
        value = self.extra.get(key)
        return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()
