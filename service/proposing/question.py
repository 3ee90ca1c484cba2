"""What the engine is asked for: arrays and options alone, as it goes to another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.search import stopping
from service.search.goals import Goal
from service.search.heuristics import HeuristicOptions
from service.search.runs import TARGET, Runs
from service.search.situation import (
    Begun,
    Direction,
    Opening,
    Proposed,
    Situation,
    sign_of,
    turn,
)
from service.search.space import MixtureSpace
from service.search.stopping import Verdict
from service.search.strategies import propose


@dataclass(frozen=True, slots=True)
class Question:
    """Equal questions get equal answers.

    Attributes:
        pending: (p, m) mixtures whose scores are still to come.
        avoid: (k, m) mixtures whose scores will never come: failed for good or called off.
        n: mixtures that are wanted.
        costs: of a score in each channel that may be proposed, in full runs.
        pending_in: (p, m) mixtures whose scores in other channels are still to come.
        goal: what is wanted beside, or instead of, the objective; `runs` then have its benchmarks.
        budget: completed runs after which the search ends, those that were attached among them.
        begun: paused runs that the search may have continued, by number.
        n_continued: how many of them at most.
        spent: of the budget, on what is neither among `runs` nor pending, in full runs.
    """

    space: MixtureSpace
    runs: Runs
    pending: NDArray[np.float64]
    avoid: NDArray[np.float64]
    n: int
    seed: int
    direction: Direction
    budget: int
    opening: Opening
    heuristics: HeuristicOptions
    costs: Mapping[str, float]
    pending_in: Mapping[str, NDArray[np.float64]]
    goal: Goal | None = None
    begun: Begun | None = None
    n_continued: int = 0
    spent: float = 0.0


def judge(question: Question, surrogate: str, running: Begun) -> list[Verdict]:
    """What runs under way are to do at their next evaluation point. Pure, like `compute`."""
    situation = Situation(
        question.space,
        turn(question.runs.weighed(), question.direction),
        sign_of(question.direction),
        {**question.pending_in, TARGET: question.pending},
        question.avoid,
        question.seed,
        question.budget,
        costs=question.costs,
        begun=question.begun,
        spent=question.spent,
    )
    return stopping.judge(surrogate, situation, running)


def compute(question: Question, strategy: str) -> list[Proposed]:
    """Lets a strategy propose. Knows neither database nor HTTP, so it can run anywhere."""
    return propose(
        strategy,
        question.space,
        question.runs,
        question.pending,
        question.n,
        question.seed,
        question.direction,
        avoid=question.avoid,
        budget=question.budget,
        opening=question.opening,
        heuristics=question.heuristics,
        costs=question.costs,
        pending_in=question.pending_in,
        begun=question.begun,
        n_continued=question.n_continued,
        spent=question.spent,
        goal=question.goal,
    )
