"""What tests of parts that meet share."""

from __future__ import annotations

import pytest

from tests.support.dashboard import few_iterations


@pytest.fixture
def quick_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gaussian processes are fitted in a few steps: for what is made of fits, whatever they are
    worth."""
    few_iterations(monkeypatch)
