"""What tests of the search share."""

import pytest


@pytest.fixture
def short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gaussian processes are fitted, and asked for the next run, in few steps: where how well they
    fit and how good the run is are not the point."""
    from service.search import expected_improvement  # torch: seconds, so only when asked
    from service.search.surrogates import gp

    monkeypatch.setattr(gp, "MAX_ITERATIONS", 5)
    monkeypatch.setattr(expected_improvement, "RESTARTS", 2)
