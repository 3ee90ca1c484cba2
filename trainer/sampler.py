"""Which samples a run trains on, in which order.

The paper's two-stage draw: a domain with the probability of its weight, then one unseen sample of
it; when the drawn domain has none left, training stops. The whole order is drawn up front from
(mixture, sizes, seed), so it does not depend on how many processes train or where a run resumes.
With a schedule the weights change at the phases' ends, and nothing else does: a sample of one phase
is not drawn again in another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Pick = tuple[str, int]
"""A sample: its domain, and its index in the domain's rows."""


@dataclass(frozen=True, slots=True)
class Order:
    """Samples to train on."""

    picks: tuple[Pick, ...]
    exhausted: str | None
    """The domain that had no unseen sample left, if that ended the order."""

    def __len__(self) -> int:
        return len(self.picks)

    def pick(self, place: int) -> Pick:
        """The sample at a place of the order."""
        return self.picks[place]

    def counts(self, n: int | None = None) -> dict[str, int]:
        """Number of samples taken from each domain, among the first n or all."""
        return dict(Counter(domain for domain, _ in self.picks[:n]))

    def steps(self, prompts_per_step: int) -> int:
        """Whole steps these samples fill."""
        return len(self.picks) // prompts_per_step

    def whole_steps(self, prompts_per_step: int) -> Order:
        """The samples of whole steps: what is left over is not trained on."""
        n = self.steps(prompts_per_step) * prompts_per_step
        return Order(self.picks[:n], self.exhausted)


def draw_order(mixture: Mapping[str, float], sizes: Mapping[str, int], n: int, seed: int) -> Order:
    """At most `n` samples for a mixture.

    Domains are known by name: the same weights in another order of the mapping give the same order
    of samples, and each domain's own samples come in the same order whatever the other weights.

    Raises:
        KeyError: a domain with weight has no size.
        ValueError: the weights do not sum to 1.
    """
    return draw_phases([(mixture, n)], sizes, seed)


def draw_phases(
    phases: Sequence[tuple[Mapping[str, float], int]], sizes: Mapping[str, int], seed: int
) -> Order:
    """The samples of mixtures one after the other, at most as many of each as stand beside it.

    It is one order: with the same mixture in all phases it is that of `draw_order`, bit for bit,
    and an earlier phase's part of it does not depend on the later ones.

    Raises:
        KeyError: a domain with weight has no size.
        ValueError: the weights of a phase do not sum to 1.
    """
    ends = np.cumsum([n for _, n in phases]).tolist()
    numbers = np.split(stream(seed, "domains").random(ends[-1]), ends[:-1])
    unseen: dict[str, Iterator[int]] = {}
    picks: list[Pick] = []
    for (mixture, _), drawn in zip(phases, numbers, strict=True):
        for name in used(mixture):
            if name not in unseen:
                unseen[name] = iter(shuffled(seed, name, sizes[name]).tolist())
        for domain in domains(mixture, drawn):
            index = next(unseen[domain], None)
            if index is None:
                return Order(tuple(picks), exhausted=domain)
            picks.append((domain, index))
    return Order(tuple(picks), exhausted=None)


def _edges(mixture: Mapping[str, float], names: Sequence[str]) -> FloatArray:
    """Where each domain's part of the numbers from 0 to 1 ends."""
    weights = np.array([mixture[name] for name in names])
    if not names or abs(weights.sum() - 1) > 1e-6:
        raise ValueError(f"weights sum to {weights.sum():.6g}, not 1")
    edges: FloatArray = np.cumsum(weights / weights.sum())
    edges[-1] = 1.0
    return edges


def used(weights: Mapping[str, float]) -> list[str]:
    """The domains with weight, sorted."""
    return sorted(name for name, weight in weights.items() if weight > 0)


def domains(weights: Mapping[str, float], numbers: FloatArray) -> list[str]:
    """The domain that each number from 0 to 1 draws.

    Raises:
        ValueError: the weights do not sum to 1.
    """
    names = used(weights)
    return [names[place] for place in np.searchsorted(_edges(weights, names), numbers, "right")]


def shuffled(seed: int, domain: str, size: int) -> NDArray[np.int64]:
    """A domain's samples in the order that they are seen in."""
    return stream(seed, f"samples of {domain}").permutation(size)


def stream(seed: int, purpose: str) -> np.random.Generator:
    """Random numbers of a run for one purpose."""
    return np.random.default_rng([seed, *purpose.encode()])
