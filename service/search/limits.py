"""Linear limits on mixtures, such as `coco + 2*lisa <= 0.6`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

QUOTES = "\"'`"


@dataclass(frozen=True)
class LinearLimit:
    """`sum of coefficient times weight <= at_most`, keyed by domain name.

    Attributes:
        name: what messages call it.
    """

    coefficients: Mapping[str, float]
    at_most: float
    name: str

    @classmethod
    def parse(cls, text: str, domains: Sequence[str]) -> LinearLimit:
        """From text such as `coco + 2*lisa <= 0.6` or `"my data" - coco >= 0`.

        Raises:
            ValueError: not of that form, or an unknown domain.
        """
        sides = re.split(r"(<=|>=)", text)
        found = None if len(sides) != 3 else _coefficients(sides[0], domains)
        try:
            level = float(sides[2]) if found is not None else np.nan
        except ValueError:
            level = np.nan
        if found is None or not np.isfinite(level):
            raise ValueError(
                f"limit {text!r} is not of the form 'coco + 2*lisa <= 0.6' "
                f"(domains: {', '.join(map(_quoted, domains))})"
            )
        sign = 1.0 if sides[1] == "<=" else -1.0
        return cls({d: sign * c for d, c in found.items()}, sign * level, text.strip())

    def as_given(self) -> dict[str, object]:
        """As a study's specification has it, `>=` where it was written so."""
        sign, side = (-1, "at_least") if ">=" in self.name else (1, "at_most")
        weights = {name: sign * value for name, value in self.coefficients.items()}
        return {"weights": weights, side: sign * self.at_most}


def unquoted(name: str) -> str:
    """A name without the quotes around it, if there are any."""
    is_quoted = len(name) > 1 and name[0] == name[-1] and name[0] in QUOTES
    return name[1:-1] if is_quoted else name


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else f'"{name}"'


def _coefficients(text: str, domains: Sequence[str]) -> dict[str, float] | None:
    """`coco + 2*"my data"` as numbers by domain; names may hold `-`, so known names go first."""
    found: dict[str, float] = {}
    bare = "|".join(re.escape(d) for d in sorted(domains, key=len, reverse=True))
    names = "|".join([bare, *(f"{q}(?:{bare}){q}" for q in QUOTES)])
    number = r"(?:\d+\.?\d*|\.\d+)"
    times = rf"(?:({number}(?:[eE][+-]?\d+)?)\s*\*|({number})\s*)?"
    term = re.compile(rf"\s*([+-]?)\s*{times}\s*({names})\s*(?=[+-]|$)")
    place = 0
    while place < len(text):
        match = term.match(text, place)
        if match is None or (found and not match[1]):
            return None
        value = float(match[2] or match[3] or 1.0) * (-1.0 if match[1] == "-" else 1.0)
        name = match[4] if match[4] in domains else unquoted(match[4])
        found[name] = found.get(name, 0.0) + value
        place = match.end()
    return found or None
