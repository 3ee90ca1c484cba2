"""The surrogate under which left-out runs are likeliest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.search.surrogates.protocol import ENDLESS, Fitted, Surrogate, log_density


class Automatic:
    """Fits several surrogates and keeps the one whose left-out runs are likeliest.

    Args:
        candidates: makers, the one preferred in a tie first; it takes any runs and channels.
    """

    min_runs = 2
    max_runs = ENDLESS
    takes_channels = True

    def __init__(self, candidates: Sequence[Callable[[], Surrogate]]) -> None:
        self._candidates = candidates

    def fit(self, space: MixtureSpace, runs: Runs, seed: int) -> Fitted:
        """Those compete that can take so many runs, and their channels where they have some."""
        made = [make() for make in self._candidates]
        able = [
            s
            for s in made
            if s.min_runs <= len(runs) <= s.max_runs and (s.takes_channels or not runs.channels)
        ]
        return max((s.fit(space, runs, seed) for s in able), key=log_density)
