"""Waiting for what happens elsewhere: asked for again and again, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

WITHIN_S = 45.0
"""Generous, since machines are slow: it is only ever used up by what fails."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 0.15
"""Between two looks, of which one at a service costs a hundredth of a second of processor time on
either side: what takes long is not asked for as often as what comes at once."""


def until(
    read: Callable[[], T],
    is_reached: Callable[[T], object] = bool,
    within_s: float = WITHIN_S,
    every_s: float | None = None,
) -> T:
    """Asks until the state is reached, and returns it; every so often, or ever more seldom."""
    deadline = time.monotonic() + within_s
    pause_s = FIRST_PAUSE_S if every_s is None else every_s
    while not is_reached(state := read()):
        assert time.monotonic() < deadline, f"not reached in {within_s:g} s: {state}"
        time.sleep(pause_s)
        if every_s is None:
            pause_s = min(1.3 * pause_s, LONGEST_PAUSE_S)
    return state
