"""What tests of the search share."""

import pytest


@pytest.fixture
def short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gaussian processes are fitted in few steps: where how well they fit is not the point."""
    from service.search.surrogates import gp  # torch: seconds, so only when asked

    monkeypatch.setattr(gp, "MAX_ITERATIONS", 5)
