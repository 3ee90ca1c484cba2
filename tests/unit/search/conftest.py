"""What tests of the search share."""

from functools import partial, partialmethod

import pytest


@pytest.fixture
def short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gaussian processes are fitted, and asked for the next run, in few steps: where how well they
    fit and how good the run is are not the point."""
    from service.search import expected_improvement  # torch: seconds, so only when asked
    from service.search.surrogates import gp

    quick = partialmethod(gp.GaussianProcess.__init__, iterations=5)
    monkeypatch.setattr(gp.GaussianProcess, "__init__", quick)
    soon = partial(expected_improvement.best_next, restarts=1)
    monkeypatch.setattr(expected_improvement, "best_next", soon)
