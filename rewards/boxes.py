"""Boxes, and how well they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

GREEDY_THRESHOLD = 0.5
"""Visual-RFT: a box that overlaps no more than this has found nothing."""


class Box(NamedTuple):
    """Corners in image coordinates, `x1 <= x2` and `y1 <= y2` in a proper box."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def area(self) -> float:
        """Zero for a box whose corners are swapped."""
        return max(0.0, self.x2 - self.x1) * max(0.0, self.y2 - self.y1)


class Detection(NamedTuple):
    """A box and how sure its model says it is of it."""

    box: Box
    confidence: float


def iou(a: Box, b: Box) -> float:
    """Intersection over union in [0, 1]; 0 where a box is empty or its corners are swapped."""
    area_a, area_b = a.area, b.area
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    if area_a == 0 or area_b == 0 or width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return min(1.0, shared / (area_a + area_b - shared))


def matched_iou(predicted: Sequence[Box], true: Sequence[Box]) -> float:
    """Sum of IoU under the best one-to-one assignment, over the larger number of boxes.

    The paper leaves the matching of several boxes open. This one is 1 only for the right boxes and
    no others: every missed and every additional box counts as an IoU of 0.
    """
    if not predicted or not true:
        return 0.0
    most = max(len(predicted), len(true))
    if min(len(predicted), len(true)) == 1:
        return max(iou(p, t) for p in predicted for t in true) / most
    overlap = np.array([[iou(p, t) for t in true] for p in predicted])
    from scipy.optimize import linear_sum_assignment  # half the start of a command without boxes

    rows, columns = linear_sum_assignment(overlap, maximize=True)
    return min(1.0, float(overlap[rows, columns].sum()) / most)


def greedy_iou(predicted: Sequence[Detection], true: Sequence[Box]) -> float:
    """Visual-RFT's reward: the surest box takes the true one it overlaps most, then the next.

    A box whose best overlap is at most `GREEDY_THRESHOLD` counts 0 and takes nothing; the sum is
    over the larger number of boxes. The same box named twice counts once.
    """
    if not predicted or not true:
        return 0.0
    once: dict[Box, Detection] = {}
    for found in predicted:
        once.setdefault(found.box, found)
    ranked = sorted(once.values(), key=lambda found: -found.confidence)
    free = list(true)
    total = 0.0
    for found in ranked:
        overlap, place = max(
            ((iou(found.box, box), -i) for i, box in enumerate(free)), default=(0.0, 0)
        )
        if overlap > GREEDY_THRESHOLD:
            total += overlap
            del free[-place]
    return min(1.0, total / max(len(ranked), len(true)))
