"""Fits that are quick and rough, for tests of what is done with them."""

from __future__ import annotations

import numpy as np
import pytest

from service.search.surrogates import channel_settings, channels
from service.search.surrogates.likelihood import Settings
from service.search.surrogates.part import LINEAR, NOISE, PAIRS


def few_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beliefs with channels are averaged over a tenth of the settings, in a fifth of the time."""
    every = np.arange(len(LINEAR) * len(PAIRS) * len(NOISE))
    some = every.reshape(len(LINEAR), len(PAIRS), len(NOISE))[::3, ::3, ::3].ravel()

    def of_target_alone() -> tuple[Settings, np.ndarray]:
        settings, log_prior = channel_settings.of_target_alone()
        return settings[some], log_prior[some]

    monkeypatch.setattr(channels, "of_target_alone", of_target_alone)
