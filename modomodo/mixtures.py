"""Mixtures as options: `coco=0.5,lisa=0.5`."""

from __future__ import annotations

import math

from modomodo.errors import WrongUse


def parse(text: str) -> dict[str, float]:
    """Weights by domain.

    Raises:
        WrongUse: a part is not `domain=weight`, a domain stands twice, or they do not sum to 1.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        try:
            weight = float(value)
        except ValueError:
            weight = math.nan
        if not name or not 0 <= weight <= 1:
            raise WrongUse(f"--mixture: {part!r} is not domain=weight, such as coco=0.5")
        if name in weights:
            raise WrongUse(f"--mixture: {name} stands twice")
        weights[name] = weight
    if abs(sum(weights.values()) - 1) > 1e-6:
        raise WrongUse(f"--mixture: weights sum to {sum(weights.values()):.6g}, not 1")
    return weights
