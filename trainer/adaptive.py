"""Weights that follow, during a run, what is still learnable.

GRPO learns from differences within a prompt's group: where all completions earn the same, their
advantages are 0. So a domain is drawn as its part of the mixture and as rewards differ within its
groups now. The mixture stays what the run is of: each domain keeps a share of its weight, and the
run has as many steps as the mixture alone would have.

Nothing but the spreads of rewards decides beside mixture, sizes and seed: the same spreads give the
same order, so they are all that a checkpoint has to hold.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from trainer import sampler
from trainer.sampler import Order, Pick
from trainer.sections import Adaptive

LAG = 2
"""Steps from one step's rewards to the first that is drawn by them: the loader asks for a step's
rows while the one before it is trained on."""


class AdaptiveOrder:
    """Samples to train on, drawn a step at a time.

    Args:
        steps: of the run, as many as the mixture's own order has.
        sizes: samples of each domain of the mixture.

    Attributes:
        spreads: what it has learned: of each step that was trained on, the standard deviation of
            rewards within the group of each prompt, in the order of its prompts.
    """

    def __init__(
        self,
        mixture: Mapping[str, float],
        sizes: Mapping[str, int],
        *,
        steps: int,
        prompts_per_step: int,
        seed: int,
        by: Adaptive,
    ) -> None:
        self._mixture = {name: mixture[name] for name in sampler.used(mixture)}
        self._steps, self._per_step, self._by = steps, prompts_per_step, by
        self._numbers = sampler.stream(seed, "domains").random(len(self))
        self._unseen = {
            name: sampler.shuffled(seed, name, sizes[name]).tolist()[::-1] for name in self._mixture
        }
        self._picks: list[Pick] = []
        self._weights = [self._mixture] * LAG
        self._means: dict[str, float] = {}
        self.spreads: list[list[float]] = []

    def __len__(self) -> int:
        """Samples of the whole run."""
        return self._steps * self._per_step

    def pick(self, place: int) -> Pick:
        """The sample at a place of the order.

        Raises:
            RuntimeError: its step is drawn by rewards that are not there yet.
        """
        while len(self._picks) <= place:
            self._draw_step()
        return self._picks[place]

    def counts(self, n: int) -> dict[str, int]:
        """Number of samples from each domain among the first n."""
        if n:
            self.pick(n - 1)
        return dict(Counter(domain for domain, _ in self._picks[:n]))

    def weights(self, step: int) -> Mapping[str, float]:
        """What the samples of a step, counted from 1, are drawn by."""
        return self._weights[step - 1]

    def mean_weights(self) -> dict[str, float]:
        """The mean of what its steps are drawn by; nothing of a run without steps."""
        drawn = self._weights[: self._steps]
        return {name: fmean(by[name] for by in drawn) for name in self._mixture if drawn}

    def learn(self, spreads: Sequence[float]) -> None:
        """Takes the spreads of the next step."""
        first = len(self.spreads) * self._per_step
        start = fmean(spreads)  # of a domain that is seen for the first time
        for place, spread in enumerate(spreads, first):
            domain, _ = self.pick(place)
            before = self._means.get(domain, start)
            self._means[domain] = before + (spread - before) / self._by.memory
        self.spreads.append(list(spreads))
        self._weights.append(adapted(self._mixture, self._means, self._by.floor))

    def recall(self, steps: Sequence[Sequence[float]]) -> None:
        """Takes the spreads of the steps that a run has done before it goes on."""
        for spreads in steps:
            self.learn(spreads)

    def _draw_step(self) -> None:
        step = len(self._picks) // self._per_step
        if step >= len(self._weights):
            raise RuntimeError(
                f"step {step + 1} is drawn by the rewards of step {step + 1 - LAG}, "
                "which are not known yet"
            )
        first = step * self._per_step
        numbers, weights = self._numbers[first : first + self._per_step], self._weights[step]
        for domain, number in zip(sampler.domains(weights, numbers), numbers, strict=True):
            chosen = domain if self._unseen[domain] else self._instead(weights, number)
            self._picks.append((chosen, self._unseen[chosen].pop()))

    def _instead(self, weights: Mapping[str, float], number: float) -> str:
        """What a number draws of the domains that have unseen samples left.

        Adaptive draws use one up sooner than the mixture would, never all before the run ends.
        """
        left = {name: w for name, w in weights.items() if self._unseen[name]}
        total = math.fsum(left.values())
        [domain] = sampler.domains(
            {name: w / total for name, w in left.items()}, np.array([number])
        )
        return domain


AnyOrder = Order | AdaptiveOrder


def adapted(
    mixture: Mapping[str, float], spread: Mapping[str, float], floor: float
) -> dict[str, float]:
    """Weights in proportion to mixture times spread, each at least `floor` times the mixture's.

    A domain without a spread is as the others are on average; where no rewards differ at all the
    weights are the mixture's.
    """
    known = {name: w * spread[name] for name, w in mixture.items() if name in spread}
    total = math.fsum(known.values())
    if total <= 0:
        return dict(mixture)
    seen = math.fsum(mixture[name] for name in known)
    return {
        name: w * floor + (1 - floor) * (seen * known[name] / total if name in known else w)
        for name, w in mixture.items()
    }


def group_spreads(
    rewards: NDArray[np.float64], weights: NDArray[np.float64], generations: int
) -> list[float]:
    """Standard deviation of the total reward within each prompt's group.

    Args:
        rewards: by completion and reward function, groups one after the other; NaN where a function
            does not judge.
        weights: of the reward functions.
    """
    totals = np.nansum(rewards * weights, axis=1).reshape(-1, generations)
    # Less their first, rewards that are all alike have a spread of 0 whatever rounding does.
    found: list[float] = (totals - totals[:, :1]).std(axis=1).tolist()
    return found
