"""LISA's two scores of a test set, on boxes: gIoU, the mean of IoUs, and cIoU, their total.

The formulas are LISA's (`train_ds.py`); it fills masks where these boxes have corners. cIoU divides
the sum of all intersections by the sum of all unions, which is the mean of IoUs weighted by union:
so a case has an IoU and a weight here, and large things count more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rewards.box_text import read_boxes
from rewards.boxes import Box
from rewards.cases import Case
from rewards.tags import answer_part


def iou(case: Case) -> float:
    """Shared area over united area of predicted and true boxes; 1 where there are neither."""
    shared, united = _areas(case)
    return min(1.0, shared / united) if united else 1.0


def union(case: Case) -> float:
    """United area in square pixels."""
    return _areas(case)[1]


def _areas(case: Case) -> tuple[float, float]:
    """Shared and united area in square pixels of the image in its source.

    `extra` has the image's `size` (width, height; without it, units are pixels and there is no
    edge), and its `grid`: how far coordinates run, where they are not pixels.
    """
    size = _pair(case.extra.get("size"))
    grid = _pair(case.extra.get("grid")) or size
    predicted = _placed(read_boxes(answer_part(case.response)), size, grid)
    true = _placed(read_boxes(answer_part(case.first)), size, grid)
    if len(predicted) <= 1 and len(true) <= 1:
        shared = sum(_overlap(a, b) for a in predicted for b in true)
        return shared, sum(box.area for box in (*predicted, *true)) - shared
    return _areas_of_many(predicted, true)


def _overlap(a: Box, b: Box) -> float:
    return Box(max(a.x1, b.x1), max(a.y1, b.y1), min(a.x2, b.x2), min(a.y2, b.y2)).area


def _areas_of_many(predicted: Sequence[Box], true: Sequence[Box]) -> tuple[float, float]:
    """Areas over the grid of all corners, so that what boxes of a side share counts once."""
    both = np.array([*predicted, *true])
    xs, ys = np.unique(both[:, [0, 2]]), np.unique(both[:, [1, 3]])
    cells = np.outer(np.diff(ys), np.diff(xs))

    def covered(boxes: Sequence[Box]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        mask = np.zeros(cells.shape, dtype=bool)
        for box in boxes:
            left, right = np.searchsorted(xs, (box.x1, box.x2))
            top, bottom = np.searchsorted(ys, (box.y1, box.y2))
            mask[top:bottom, left:right] = True
        return mask

    in_predicted, in_true = covered(predicted), covered(true)
    return float(cells[in_predicted & in_true].sum()), float(cells[in_predicted | in_true].sum())


def _placed(
    boxes: Sequence[Box], size: tuple[float, float] | None, grid: tuple[float, float] | None
) -> list[Box]:
    """Boxes in pixels, cut at the image's edge, without those that have no area."""
    if size is None or grid is None:
        return [box for box in boxes if box.area]
    (width, height), x, y = size, size[0] / grid[0], size[1] / grid[1]
    cut = (
        Box(
            min(max(box.x1 * x, 0.0), width),
            min(max(box.y1 * y, 0.0), height),
            min(max(box.x2 * x, 0.0), width),
            min(max(box.y2 * y, 0.0), height),
        )
        for box in boxes
    )
    return [box for box in cut if box.area]


def _pair(value: object) -> tuple[float, float] | None:
    """Two positive numbers, or None."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    if not all(isinstance(number, int | float) and 0 < number < 1e9 for number in value):
        return None
    return float(value[0]), float(value[1])
