"""Names of the columns of weights in tables of runs."""

from __future__ import annotations

WEIGHT = "w_"
"""What those of a domain's weights begin with."""


def weight_in(phase: int, domain: str) -> str:
    """That of a domain's weights in a phase, the first being 1: `w1_coco`."""
    return f"w{phase}_{domain}"
