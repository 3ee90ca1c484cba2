"""The surrogate under which left-out runs are likeliest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.search.surrogates.protocol import Fitted, Surrogate, log_density


class Automatic:
    """Fits several surrogates and keeps the one whose left-out runs are likeliest.

    Args:
        candidates: makers, the one preferred in a tie first.
    """

    min_runs = 2

    def __init__(self, candidates: Sequence[Callable[[], Surrogate]]) -> None:
        self._candidates = candidates

    def fit(self, space: MixtureSpace, runs: Runs, seed: int) -> Fitted:
        """Raises ValueError when none of them can be fitted to so few runs."""
        made = [make() for make in self._candidates]
        fitted = [s.fit(space, runs, seed) for s in made if len(runs) >= s.min_runs]
        return max(fitted, key=log_density)
