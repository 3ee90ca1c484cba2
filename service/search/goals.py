"""What a search is after when that is more than one number: floors, several objectives, the worst.

A goal looks at outputs: weighted means of benchmarks, such as Out-Score or one benchmark alone. It
turns values of the outputs at mixtures, measured or drawn from a belief, into values to improve and
into whether each floor holds. Higher is better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.notation.levels import Level
from service.search.fronts import knee, on_front
from service.search.space import FloatArray

LEAST_UNIFORM = 0.01
"""A benchmark that equal weights score less on is standardised by this: next to nothing times
anything is chance."""
ROUNDING = 1e-12


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
        taken: FloatArray = outputs[..., list(self.objectives), :]
        if not self.is_worst:
            return taken
        return np.asarray(self.relative(outputs, uniform).min(axis=-2, keepdims=True))

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

    def best_measured(self, outputs: FloatArray, uniform: FloatArray | None) -> int:
        """Place of the mixture that serves best by what its runs scored, whatever is believed.

        Of those that break no floor, that with the highest value, with several objectives the knee
        of the front; where all break one, the one that is least short in all.

        Args:
            outputs: (O, k) means over the runs of k mixtures.
            uniform: (O,) of equal weights; None where they were not run, and the mean stands in.
        """
        level = outputs.mean(axis=1) if uniform is None else uniform
        short = np.minimum(self.spare(outputs, level), 0).sum(axis=0)
        able = np.flatnonzero(short >= short.max() - ROUNDING)
        values = self.values(outputs, level)[:, able].T
        if self.n_objectives == 1:
            return int(able[int(np.argmax(values[:, 0]))])
        front = np.flatnonzero(on_front(values))
        return int(able[front[knee(values[front])]])
