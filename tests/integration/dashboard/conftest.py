"""Settings of the dashboard's tests."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _quick_fits(quick_fits: None) -> None:
    """Pages show fits, whatever they are worth."""
