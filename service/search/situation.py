"""What a strategy looks at, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from service.search.goals import Goal
from service.search.heuristics import AS_PUBLISHED, HeuristicOptions
from service.search.runs import MERGED, PARTS, TARGET, Runs
from service.search.space import SAME, FloatArray, MixtureSpace, total_variation

Direction = Literal["maximize", "minimize"]
Opening = Literal["optimal", "seeds"]

FULL_RUNS: Mapping[str, float] = {TARGET: 1.0}
"""What may be proposed where nothing cheaper is there."""
TOLD_BY = 3
"""Full runs after which a surrogate may choose where other channels tell of many mixtures."""


def sign_of(direction: Direction) -> float:
    """1.0 where higher scores are better, else -1.0: times this, higher is better."""
    return 1.0 if direction == "maximize" else -1.0


def turn(runs: Runs, direction: Direction) -> Runs:
    """Runs whose higher scores are better: the engine maximises."""
    return runs if direction == "maximize" else runs.negated()


@dataclass(frozen=True, eq=False)
class Begun:
    """q runs that stand at a step, scored there, and whose rest may be trained or not.

    Attributes:
        weights: (q, m) their mixtures.
        channel: name of each one's last score.
        cost: (q,) of the rest, in full runs.
        run: number by which each is called.
    """

    weights: FloatArray
    channel: tuple[str, ...]
    cost: FloatArray
    run: tuple[int, ...]

    @classmethod
    def none(cls, m: int) -> Begun:
        return cls(np.empty((0, m)), (), np.empty(0), ())

    def __len__(self) -> int:
        return len(self.run)

    def and_(self, more: Begun) -> Begun:
        """These and then those."""
        return Begun(
            np.vstack([self.weights, more.weights]),
            self.channel + more.channel,
            np.concatenate([self.cost, more.cost]),
            self.run + more.run,
        )


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
        channel: what of it is to be scored: a full run, or something cheaper.
        cost: of that, in full runs.
        gain: by how much its score is expected to raise the best prediction; None where that was
            not asked.
        run: number of the begun run whose rest this is; None for a new one.
    """

    weights: FloatArray
    mean: float | None
    sd: float | None
    reason: str
    strategy: str
    is_repeat: bool = False
    channel: str = TARGET
    cost: float = 1.0
    gain: float | None = None
    run: int | None = None


@dataclass(eq=False)
class Situation:
    """What a strategy may look at. `taken` grows as suggestions are accepted.

    Attributes:
        runs: turned so that higher scores are better.
        sign: -1.0 where they were turned, to say predictions as the user knows them.
        pending: of each channel, (p, m) mixtures whose scores are still to come.
        costs: of a score in each channel that may be proposed, in full runs.
        budget: completed runs after which the search ends; None for no end.
        begun: runs whose rest may be trained.
        n_continued: how many of them at most.
        spent: of the budget, on what is neither among `runs` nor pending, in full runs.
        goal: what is wanted beside, or instead of, the objective; None for that alone.
    """

    space: MixtureSpace
    runs: Runs
    sign: float
    pending: Mapping[str, FloatArray]
    avoid: FloatArray
    seed: int
    budget: int | None = None
    opening: Opening = "optimal"
    heuristics: HeuristicOptions = AS_PUBLISHED
    costs: Mapping[str, float] = field(default_factory=lambda: FULL_RUNS)
    begun: Begun | None = None
    n_continued: int = 0
    spent: float = 0.0
    goal: Goal | None = None
    taken: list[tuple[str, FloatArray]] = field(default_factory=list)
    continued: list[int] = field(default_factory=list)

    def known(self) -> FloatArray:
        """(k, m) mixtures that were run or begun, are on their way, or are to be avoided."""
        return np.vstack([self.runs.weights, self.unscored(), self.avoid, self.unfinished.weights])

    @property
    def unfinished(self) -> Begun:
        """`begun`, or none."""
        return Begun.none(self.space.m) if self.begun is None else self.begun

    def is_new(self, weights: FloatArray, channel: str = TARGET) -> bool:
        """Whether a channel has no score of a mixture (m,), and none on its way."""
        if channel == TARGET:
            known = self.known()
        else:
            known = self.told_in(channel)
        return bool(np.all(total_variation(weights, known) > SAME))

    def runs_needed(self) -> int:
        """Scored runs before a surrogate may choose: one more than a plane through the domains, but
        where another channel tells of as many mixtures, enough to see how far it carries over."""
        plane = self.space.of_means.m + 1
        return min(TOLD_BY, plane) if self.is_told() else plane

    def is_told(self) -> bool:
        """Whether a channel has as many scores as a plane through the domains needs."""
        return any(len(channel) > self.space.m for channel in self.runs.channels.values())

    def scored_in(self, channel: str) -> FloatArray:
        """(n, m) mixtures that another channel has scores of."""
        found = self.runs.channels.get(channel)
        return np.empty((0, self.space.m)) if found is None else found.weights

    def told_in(self, channel: str) -> FloatArray:
        """(k, m) mixtures that another channel has scores of, or will have. What trains is scored
        at its steps, or may come to them. A domain alone merges to its expert: what that scores is
        known by its run."""
        found = [self.scored_in(channel), self.unscored(channel)]
        if channel.startswith(PARTS):
            found.append(self.in_training())
        if channel == MERGED:
            found.append(np.eye(self.space.m))
        return np.vstack(found)

    def in_training(self) -> FloatArray:
        """(k, m) mixtures of runs on their way to their end or a step, or that stand at one."""
        names = {TARGET, *(name for name in (*self.costs, *self.pending) if name.startswith(PARTS))}
        return np.vstack([*map(self.unscored, sorted(names)), self.unfinished.weights])

    def unscored(self, channel: str = TARGET) -> FloatArray:
        """(p, m) mixtures whose scores in a channel are to come, this call's own among them."""
        taken = [weights[None] for name, weights in self.taken if name == channel]
        return np.vstack([self.pending.get(channel, np.empty((0, self.space.m))), *taken])

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


Strategy = Callable[[Situation], Iterator[Proposed | None]]
"""Suggestions in order of preference; None means to wait for scores that are on their way."""
