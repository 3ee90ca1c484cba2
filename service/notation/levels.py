"""Levels that a score has to reach, as people write them: numbers, or relative to equal weights."""

from __future__ import annotations

import re
from dataclasses import dataclass

from service.notation.numbers import as_given


@dataclass(frozen=True, slots=True)
class Level:
    """What a score has to be at least: a number, or so much above what equal weights score."""

    value: float
    is_relative: bool

    @classmethod
    def parse(cls, text: str) -> Level:
        """From `0.4`, `uniform`, `uniform - 0.02` or `uniform + 0.02`.

        Raises:
            ValueError: it is none of these.
        """
        relative = re.fullmatch(r"\s*uniform\s*(?:([+-])\s*(\d+\.?\d*|\.\d+)\s*)?", text)
        if relative is not None:
            sign, number = relative.groups()
            return cls(float(f"{sign or ''}{number or 0}"), is_relative=True)
        if re.fullmatch(r"\s*-?(\d+\.?\d*|\.\d+)\s*", text) is None:
            raise ValueError(
                f"{text!r} is not a level: give a number, or `uniform`, `uniform - 0.02` or "
                "`uniform + 0.02` for what equal weights score"
            )
        return cls(float(text), is_relative=False)

    @classmethod
    def of_floor(cls, text: str) -> tuple[str, Level]:
        """What has to reach a level, and the level, from `scienceqa >= uniform - 0.02`.

        Raises:
            ValueError: it is not of that form.
        """
        name, sign, level = text.partition(">=")
        if not sign or not name.strip():
            raise ValueError("a name and a level are wanted, with >= between them")
        return name.strip(), cls.parse(level)

    @property
    def as_given(self) -> float | str:
        """As a study's file has it."""
        return str(self) if self.is_relative else self.value

    def __str__(self) -> str:
        if not self.is_relative:
            return as_given(self.value)
        sign = "-" if self.value < 0 else "+"
        return f"uniform {sign} {as_given(abs(self.value))}" if self.value else "uniform"
