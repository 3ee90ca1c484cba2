"""Settings of the dashboard's tests."""

from __future__ import annotations

import pytest

from tests.support.dashboard import few_iterations


@pytest.fixture(autouse=True)
def _quick_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    few_iterations(monkeypatch)
