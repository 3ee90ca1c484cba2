"""Fits that are quick and rough, for tests of what is done with them."""

from __future__ import annotations

import pytest

from service.search.surrogates import channel_settings


def few_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beliefs with channels are averaged over a tenth of the settings, in a fifth of the time."""
    for name in ("LINEAR", "PAIRS", "NOISE"):
        monkeypatch.setattr(channel_settings, name, getattr(channel_settings, name)[::3])
