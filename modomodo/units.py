"""The unit that a file's scores are shown in: points of 100 for fractions, else the file's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.search.intervals import Z95
from service.search.space import FloatArray


@dataclass(frozen=True, slots=True)
class Unit:
    """Attributes:
    factor: what a stored score is multiplied by.
    name: as in "scores in …".
    """

    factor: float
    name: str

    @classmethod
    def of(cls, scores: FloatArray, objective: str) -> Unit:
        """Of a file's scores (n,): points where all are fractions."""
        if np.all((scores >= 0) & (scores <= 1)):
            return cls(100.0, "points of 100")
        return cls(1.0, f"the file's unit of {objective}")

    @property
    def said(self) -> str:
        """What a page of numbers says once."""
        return f"scores in {self.name}; ± is a 95% interval"

    def value(self, score: float) -> str:
        """`41.2`."""
        return self._shown(self.factor * score)

    def with_margin(self, score: float, sd: float | None) -> str:
        """`41.2 ± 1.9`: a score with the half-width of its 95% interval."""
        shown = self.value(score)
        return shown if sd is None else f"{shown} ± {self._shown(self.factor * Z95 * sd)}"

    def gain(self, difference: float, sd: float | None = None) -> str:
        """`+4.1 ± 2.6`."""
        shown = self.with_margin(difference, sd)
        return shown if shown.startswith("-") else f"+{shown}"

    def _shown(self, value: float) -> str:
        if self.factor == 1:
            return f"{value:z.4g}"
        return f"{value:z.1f}"
