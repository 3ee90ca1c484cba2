"""Small curves of the mean reward, drawn by the templates as lines without axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from db.curves import Point

METRIC = "reward"

SHARE = 10
"""The smooth line is a running mean over one part in so many of the points."""

HEIGHT = 30.0
"""Of a curve that is 100 wide."""


@dataclass(frozen=True, slots=True)
class Spark:
    """A curve as points of an SVG line: `x,y x,y …`; x is the share of the run's steps."""

    raw: str
    smooth: str
    first: float
    last: float
    at: int


def of(points: Sequence[Point], total_steps: int | None) -> Spark | None:
    """The curve of the mean reward; None with fewer than two points, or an unknown length."""
    found = [(point.step, point.metrics[METRIC]) for point in points if METRIC in point.metrics]
    if len(found) < 2 or not total_steps:
        return None
    steps, values = (np.array(column, dtype=float) for column in zip(*found, strict=True))
    width = max(1, len(values) // SHARE)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - width)
    smooth = (sums[ends] - sums[starts]) / (ends - starts)
    low, high = float(values.min()), float(values.max())
    reach = high - low or 1.0
    x = np.clip(100 * steps / total_steps, 0, 100)

    def line(y: np.ndarray) -> str:
        up = HEIGHT - 1 - (HEIGHT - 2) * (y - low) / reach
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, up, strict=True))

    return Spark(line(values), line(smooth), float(smooth[0]), float(smooth[-1]), int(steps[-1]))
