"""Waiting for what happens elsewhere: asked for again and again, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

WITHIN_S = 45.0
"""Generous, since machines are slow: it is only ever used up by what fails."""


def until(
    read: Callable[[], T],
    is_reached: Callable[[T], object] = bool,
    within_s: float = WITHIN_S,
    every_s: float = 0.02,
) -> T:
    """Asks until the state is reached, and returns it."""
    deadline = time.monotonic() + within_s
    while not is_reached(state := read()):
        assert time.monotonic() < deadline, f"not reached in {within_s:g} s: {state}"
        time.sleep(every_s)
    return state
