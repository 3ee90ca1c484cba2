"""Scores as people read them: points of 100, and after ± the half-width of a 95% interval.

Whatever is stored or sent as JSON keeps fractions and standard errors.
"""

from __future__ import annotations

import math

from service.search.intervals import Z95


def value(score: float) -> str:
    """A fraction as points of 100: `41.2`."""
    return f"{100 * score:z.1f}"


def gain(difference: float) -> str:
    """A difference of fractions in points, with its sign: `+4.1`."""
    return f"{100 * difference:+z.1f}"


def margin(se: float) -> str:
    """Half-width of the 95% interval in points: `1.9`."""
    return f"{100 * Z95 * se:.1f}"


def score(score: float, se: float) -> str:
    """`41.2 ± 1.9`."""
    return f"{value(score)} ± {margin(se)}"


def signed(difference: float, se: float) -> str:
    """`+4.1 ± 2.6`."""
    return f"{gain(difference)} ± {margin(se)}"


def widened(se: float, n: int) -> float:
    """A standard error estimated from `n` values so that `Z95` of it is a 95% interval.

    Student's t: the spread of few values is itself little known.
    """
    from scipy.special import stdtrit  # takes a while, and most of what is read needs it not

    return se * float(stdtrit(n - 1, 0.975)) / Z95 if n > 1 else math.inf


def room(weight: float, step: float) -> str:
    """How much more of a domain a study allows: `at most +4`, `no more`; nothing where it is all of
    `step`."""
    if weight >= step:
        return ""
    return f"at most +{100 * weight:.2g}" if weight > 0 else "no more"
