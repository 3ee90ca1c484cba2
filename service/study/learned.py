"""A learning curve in a few numbers, so that runs can be told apart without a chart."""

from __future__ import annotations

import math
from dataclasses import dataclass

from service.schemas import Curve

USUAL = "reward"
"""The metric that is shown unless another is asked for."""

LATE_SHARE = 10
"""The end of a curve is one part in so many of its points."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A metric of a run over its steps.

    Attributes:
        late: mean of the last tenth of the points, which scatters less than the last one.
    """

    first: float
    last: float
    late: float
    step: int
    """Of the last point."""


def learned(curve: Curve, metric: str) -> Learned | None:
    """What a curve says of a metric; None where it says nothing of it."""
    known = points(curve, metric)
    if not known:
        return None
    values = [value for _, value in known]
    late = values[-max(1, len(values) // LATE_SHARE) :]
    return Learned(values[0], values[-1], math.fsum(late) / len(late), known[-1][0])


def points(curve: Curve, metric: str) -> list[tuple[int, float]]:
    """Steps and values, where the run said something of the metric."""
    values = curve.metrics.get(metric, ())
    return [
        (step, value) for step, value in zip(curve.steps, values, strict=False) if value is not None
    ]
