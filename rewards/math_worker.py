"""The process that judges formulas: `python -m rewards.math_worker SECONDS`.

Reads a JSON list `[right, given, seconds]` a line, two formulas in LaTeX without marks and the
processor time that they get. Writes `read` once it has read the given one, then `1` (equal), `0` or
`?` (no verdict in that time, or none at all) with the seconds it took. Where it does not give up by
itself, the kernel ends it. Its first line says that it is ready; it ends with its input.
"""

from __future__ import annotations

import json
import logging
import resource
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

MAX_MEMORY = 4 * 2**30
"""Bytes of address space: 9^9^9^9 has more digits than there is memory."""

AGAIN_S = 0.1
"""A limit that some `except` swallowed comes again."""

GRACE_S = 0.25
"""Processor time beyond the limit until the kernel ends a child that does not listen."""

MAX_DEPTH = 2000

NEAR = 1e-6
"""Relative difference of numbers that decimals stand for; math-verify's own is absolute."""

WARM_UP = ("x^2+2x+1", r"(x+1)^2 + \frac{0}{2}")
"""Much of sympy is only imported when it is needed; that is no case's time."""

Parse = Callable[[str], list[Any]]
Verify = Callable[[list[Any], list[Any]], bool]


class TooLong(BaseException):
    """Not an Exception, so that libraries let it through."""


def main() -> None:
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ends with its input
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    sys.setrecursionlimit(MAX_DEPTH)
    signal.signal(signal.SIGVTALRM, _too_long)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process, also in the middle of C
    parse, verify = _library()
    if not verify(parse(WARM_UP[0]), parse(WARM_UP[1])):
        sys.exit("math-verify does not know that x^2+2x+1 = (x+1)^2")
    print("ready", flush=True)
    for line in sys.stdin:
        right, given, limit_s = json.loads(line)
        started = time.process_time()
        said = verdict(parse, verify, right, given, limit_s)
        print(said, time.process_time() - started, flush=True)


def _library() -> tuple[Parse, Verify]:
    """math-verify, told that all of a text is one formula; without its own time limits, which would
    take the timer."""
    import math_verify
    from latex2sympy2_extended.latex2sympy2 import NormalizationConfig
    from math_verify.parser import LatexExtractionConfig

    # Units were read before; here m is a letter like x.
    spelling = NormalizationConfig(
        basic_latex=True,
        units=False,
        malformed_operators=True,
        nits=True,
        boxed="all",
        equations=False,
    )
    whole = [LatexExtractionConfig(normalization_config=spelling)]

    def parse(latex: str) -> list[Any]:
        return list(math_verify.parse(f"${latex}$", whole, parsing_timeout=None))

    def verify(right: list[Any], given: list[Any]) -> bool:
        if not math_verify.verify(right, given, timeout_seconds=None):
            return False
        return not any(_is_far(a, b) for a in right[:1] for b in given[:1])

    return parse, verify


def verdict(parse: Parse, verify: Verify, right: str, given: str, limit_s: float) -> str:
    """`1`, `0`, or `?` where a verdict takes too long or breaks."""
    try:
        try:
            signal.setitimer(signal.ITIMER_PROF, limit_s + GRACE_S)
            signal.setitimer(signal.ITIMER_VIRTUAL, limit_s, AGAIN_S)
            found = parse(given)
            print("read", flush=True)
            return "1" if verify(parse(right), found) else "0"
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.setitimer(signal.ITIMER_PROF, 0)
    except (Exception, TooLong):
        return "?"


def _is_far(a: Any, b: Any) -> bool:
    """Whether two numbers are only equal because both are small: 1e-7 pi is not 2e-7 pi."""
    if not (getattr(a, "is_number", False) and getattr(b, "is_number", False)):
        return False
    x, y = complex(a.evalf()), complex(b.evalf())
    return abs(x - y) > NEAR * max(abs(x), abs(y))


def _too_long(number: int, frame: FrameType | None) -> Any:
    raise TooLong


if __name__ == "__main__":
    main()
