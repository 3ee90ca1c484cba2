"""Which samples a run trains on, in which order.

The paper's two-stage draw: a domain with the probability of its weight, then one unseen sample of
it; when the drawn domain has none left, training stops. The whole order is drawn up front from
(mixture, sizes, seed), so it does not depend on how many processes train or where a run resumes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Pick = tuple[str, int]
"""A sample: its domain, and its index in the domain's rows."""


@dataclass(frozen=True, slots=True)
class Order:
    """Samples to train on."""

    picks: tuple[Pick, ...]
    exhausted: str | None
    """The domain that had no unseen sample left, if that ended the order."""

    def counts(self) -> dict[str, int]:
        """Number of samples taken from each domain."""
        return dict(Counter(domain for domain, _ in self.picks))

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
    names = sorted(name for name, weight in mixture.items() if weight > 0)
    weights = np.array([mixture[name] for name in names])
    if not names or abs(weights.sum() - 1) > 1e-6:
        raise ValueError(f"weights sum to {weights.sum():.6g}, not 1")
    unseen = {
        name: iter(_stream(seed, f"samples of {name}").permutation(sizes[name]).tolist())
        for name in names
    }
    edges = np.cumsum(weights / weights.sum())
    edges[-1] = 1.0
    draws = np.searchsorted(edges, _stream(seed, "domains").random(n), side="right")
    picks: list[Pick] = []
    for draw in draws:
        domain = names[draw]
        index = next(unseen[domain], None)
        if index is None:
            return Order(tuple(picks), exhausted=domain)
        picks.append((domain, index))
    return Order(tuple(picks), exhausted=None)


def _stream(seed: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, *purpose.encode()])
