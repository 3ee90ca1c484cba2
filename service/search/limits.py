"""Linear limits on mixtures, such as `coco + 2*lisa <= 0.6`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


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
        """From text such as `coco + 2*lisa <= 0.6` or `sat - coco >= 0`.

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
                f"(domains: {', '.join(domains)})"
            )
        sign = 1.0 if sides[1] == "<=" else -1.0
        return cls({d: sign * c for d, c in found.items()}, sign * level, text.strip())


def _coefficients(text: str, domains: Sequence[str]) -> dict[str, float] | None:
    """`coco+2*lisa` as numbers by domain; names may hold `-`, so known names go first."""
    rest = text.replace(" ", "")
    found: dict[str, float] = {}
    names = "|".join(re.escape(d) for d in sorted(domains, key=len, reverse=True))
    term = re.compile(rf"([+-]?)(?:(\d+\.?\d*|\.\d+)\*?)?({names})(?=[+-]|$)")
    while rest:
        match = term.match(rest)
        if match is None or (found and not match[1]):
            return None
        value = float(match[2] or 1.0) * (-1.0 if match[1] == "-" else 1.0)
        found[match[3]] = found.get(match[3], 0.0) + value
        rest = rest[match.end() :]
    return found or None
