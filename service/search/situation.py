"""What a strategy looks at, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from service.search.heuristics import AS_PUBLISHED, HeuristicOptions
from service.search.runs import Runs
from service.search.space import SAME, FloatArray, MixtureSpace, total_variation

Direction = Literal["maximize", "minimize"]
Opening = Literal["optimal", "seeds"]


def sign_of(direction: Direction) -> float:
    """1.0 where higher scores are better, else -1.0: times this, higher is better."""
    return 1.0 if direction == "maximize" else -1.0


def turn(runs: Runs, direction: Direction) -> Runs:
    """Runs whose higher scores are better: the engine maximises."""
    return runs if direction == "maximize" else runs.negated()


@dataclass(frozen=True, eq=False)
class Proposed:
    """A mixture to try next.

    Attributes:
        weights: (m,) exactly feasible.
        mean, sd: what the strategy's surrogate expects of the noise-free objective; None where the
            strategy has no surrogate.
        reason: in words.
        strategy: the part of the strategy that spoke: a pipeline passes through several.
        is_repeat: meant to be run again although it was run, or is on its way, already.
    """

    weights: FloatArray
    mean: float | None
    sd: float | None
    reason: str
    strategy: str
    is_repeat: bool = False


@dataclass(eq=False)
class Situation:
    """What a strategy may look at. `taken` grows as suggestions are accepted.

    Attributes:
        runs: turned so that higher scores are better.
        sign: -1.0 where they were turned, to say predictions as the user knows them.
        budget: completed runs after which the search ends; None for no end.
    """

    space: MixtureSpace
    runs: Runs
    sign: float
    pending: FloatArray
    avoid: FloatArray
    seed: int
    budget: int | None = None
    opening: Opening = "optimal"
    heuristics: HeuristicOptions = AS_PUBLISHED
    taken: list[FloatArray] = field(default_factory=list)

    def known(self) -> FloatArray:
        """(k, m) mixtures that were run, are on their way, or are to be avoided."""
        return np.vstack([self.runs.weights, self.unscored(), self.avoid])

    def is_new(self, weights: FloatArray) -> bool:
        return bool(np.all(total_variation(weights, self.known()) > SAME))

    def runs_needed(self) -> int:
        """Scored runs before a surrogate may choose: one more than a plane through the domains."""
        return self.space.m + 1

    def unscored(self) -> FloatArray:
        """(p, m) mixtures whose scores are still to come, this call's own among them."""
        return np.vstack([self.pending, *(t[None] for t in self.taken)])

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


Strategy = Callable[[Situation], Iterator[Proposed | None]]
"""Suggestions in order of preference; None means to wait for scores that are on their way."""
