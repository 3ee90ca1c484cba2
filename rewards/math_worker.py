"""The process that judges expressions: `python -m rewards.math_worker SECONDS`.

Reads a JSON list `[right, given]` a line, writes a line `1` (equal), `0` or `?` (no verdict within
so many seconds). Its first line says that it is ready. It ends with its input.
"""

from __future__ import annotations

import json
import logging
import resource
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

MAX_MEMORY = 4 * 2**30
"""Bytes of address space: 9^9^9^9 has more digits than there is memory."""

AGAIN_S = 0.1
"""A limit that some `except` swallowed comes again."""

MAX_DEPTH = 2000


class TooLong(BaseException):
    """Not an Exception, so that libraries let it through."""


def main() -> None:
    limit_s = float(sys.argv[1])
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ends with its input
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    sys.setrecursionlimit(MAX_DEPTH)
    signal.signal(signal.SIGALRM, _too_long)
    from math_verify import parse, verify

    def is_equal(right: str, given: str) -> bool:
        # Without its own time limits: they would take the timer.
        known = parse(right, parsing_timeout=None)
        found = parse(given, parsing_timeout=None)
        return bool(verify(known, found, timeout_seconds=None))

    print("ready", flush=True)
    for line in sys.stdin:
        right, given = json.loads(line)
        print(verdict(is_equal, right, given, limit_s), flush=True)


def verdict(is_equal: Callable[[str, str], bool], right: str, given: str, limit_s: float) -> str:
    """`1`, `0`, or `?` where a verdict takes too long or breaks."""
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, limit_s, AGAIN_S)
            return "1" if is_equal(right, given) else "0"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except (Exception, TooLong):
        return "?"


def _too_long(number: int, frame: FrameType | None) -> Any:
    raise TooLong


if __name__ == "__main__":
    main()
