"""What a search is after when that is more than one number: floors, several objectives, the worst.

A goal looks at outputs: weighted means of benchmarks, such as Out-Score or one benchmark alone. It
turns values of the outputs at mixtures, measured or drawn from a belief, into values to improve and
into whether each floor holds. Higher is better.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.search.space import FloatArray

LEAST_UNIFORM = 0.01
"""A benchmark that equal weights score less on is standardised by this: next to nothing times
anything is chance."""


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

    def __str__(self) -> str:
        if not self.is_relative:
            return f"{self.value:g}"
        sign = "-" if self.value < 0 else "+"
        return f"uniform {sign} {abs(self.value):g}" if self.value else "uniform"


@dataclass(frozen=True, slots=True)
class Floor:
    """What an output has to be at least, and how likely that is to hold."""

    output: int
    level: Level
    probability: float


@dataclass(frozen=True, eq=False)
class Goal:
    """What is wanted of the outputs.

    Attributes:
        names: of the O outputs.
        shares: (O, B) of each benchmark in each output; rows sum to 1.
        score: (O,) how the one number that a study is listed by adds up from the outputs.
        objectives: outputs to improve, one to three; where `is_worst`, those of which the worst
            counts, each as what it is above equal weights, as a share of that.
        floors: each of an output.

    Raises:
        ValueError: no objective, or more than three that each count.
    """

    names: tuple[str, ...]
    shares: FloatArray
    score: FloatArray
    objectives: tuple[int, ...]
    is_worst: bool = False
    floors: tuple[Floor, ...] = ()

    def __post_init__(self) -> None:
        if not self.objectives:
            raise ValueError("a goal needs an objective")
        if self.n_objectives > 3:
            raise ValueError(f"{self.n_objectives} objectives; a front has at most three")

    @property
    def n_objectives(self) -> int:
        """J, how many values there are to improve."""
        return 1 if self.is_worst else len(self.objectives)

    @property
    def is_plain(self) -> bool:
        """Whether it asks no more than to improve one output."""
        return self.n_objectives == 1 and not self.is_worst and not self.floors

    @property
    def probability(self) -> float:
        """With which all floors have to hold together: the least that is asked of one."""
        return min((floor.probability for floor in self.floors), default=0.0)

    def said(self, floor: Floor) -> str:
        """`scienceqa at least uniform - 0.02`."""
        return f"{self.names[floor.output]} at least {floor.level}"

    def outputs(self, benchmarks: FloatArray) -> FloatArray:
        """(O, k) of scores of benchmarks (k, B)."""
        found: FloatArray = self.shares @ benchmarks.T
        return found

    def values(self, outputs: FloatArray, uniform: FloatArray) -> FloatArray:
        """(..., J, k) what is to be improved.

        Args:
            outputs: (..., O, k) at k mixtures.
            uniform: (..., O) at equal weights.
        """
        taken = outputs[..., list(self.objectives), :]
        if not self.is_worst:
            return taken
        return self.relative(outputs, uniform).min(axis=-2, keepdims=True)

    def relative(self, outputs: FloatArray, uniform: FloatArray) -> FloatArray:
        """(..., objectives, k) how far above equal weights, as a share of what they score."""
        chosen = list(self.objectives)
        level = uniform[..., chosen, None]
        above: FloatArray = (outputs[..., chosen, :] - level) / np.maximum(
            np.abs(level), LEAST_UNIFORM
        )
        return above

    def levels(self, uniform: FloatArray) -> FloatArray:
        """(..., F) what each floor is, given outputs (..., O) at equal weights."""
        each = [
            uniform[..., floor.output] * float(floor.level.is_relative) + floor.level.value
            for floor in self.floors
        ]
        return np.stack(each, axis=-1) if each else np.empty((*uniform.shape[:-1], 0))

    def spare(self, outputs: FloatArray, uniform: FloatArray) -> FloatArray:
        """(..., F, k) how far above each floor, below 0 where it is broken."""
        which = [floor.output for floor in self.floors]
        above: FloatArray = outputs[..., which, :] - self.levels(uniform)[..., None]
        return above

    def is_enough(self, holds: FloatArray, together: FloatArray) -> NDArray[np.bool_]:
        """(k,) whether floors hold as surely as asked: each with its own probability (F, k), all
        together (k,) with the least of them."""
        asked = np.array([floor.probability for floor in self.floors])[:, None]
        enough: NDArray[np.bool_] = (holds >= asked).all(axis=0) & (together >= self.probability)
        return enough
