"""Boxes in text, and how well they overlap."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

MAX_BOXES = 100
"""A longer list is not an answer but a flood; it does not parse."""

_NUMBER = r"-?\d{1,9}(?:\.\d{1,9})?"
_COORDINATES = rf"[\[(]\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})\s*[\])]"
_POSITION = rf"['\"]Position['\"]\s*:\s*{_COORDINATES}"
_CONFIDENCE = rf"['\"]Confidence['\"]\s*:\s*{_NUMBER}"
_LABELLED = re.compile(rf"\{{\s*{_POSITION}\s*,\s*{_CONFIDENCE}\s*,?\s*\}}")
_BARE = re.compile(_COORDINATES)
_LIST_START = re.compile(r"\s*\[\s*")
_LIST_NEXT = re.compile(r"\s*,\s*(?!\])")
_LIST_END = re.compile(r"\s*,?\s*\]\s*\Z")


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


def parse_boxes(text: str) -> list[Box] | None:
    """Boxes of `[{'Position': [x1, y1, x2, y2], 'Confidence': c}, …]`, single or double quotes.

    The whole text must be that list; None where it is not, where it is empty, or where it has more
    than `MAX_BOXES` boxes.
    """
    return _parse_list(text, _LABELLED)


def parse_true_boxes(text: str) -> list[Box]:
    """Boxes of a row's answer: a JSON list of `[x1, y1, x2, y2]`.

    Raises:
        ValueError: the answer is not such a list, so the row is wrong, not the model.
    """
    boxes = _parse_list(text, _BARE)
    if boxes is None:
        raise ValueError(f"the true answer {text[:80]!r} is not a list of [x1, y1, x2, y2]")
    return boxes


def _parse_list(text: str, item: re.Pattern[str]) -> list[Box] | None:
    """Reads item by item, so that time is linear in the text."""
    start = _LIST_START.match(text)
    if start is None:
        return None
    boxes: list[Box] = []
    position = start.end()
    while len(boxes) < MAX_BOXES:
        found = item.match(text, position)
        if found is None:
            return None
        boxes.append(Box(*(float(number) for number in found.groups())))
        if _LIST_END.match(text, found.end()):
            return boxes
        separator = _LIST_NEXT.match(text, found.end())
        if separator is None:
            return None
        position = separator.end()
    return None


def iou(a: Box, b: Box) -> float:
    """Intersection over union in [0, 1]; 0 where a box is empty or its corners are swapped."""
    if a.area == 0 or b.area == 0:
        return 0.0
    shared = Box(max(a.x1, b.x1), max(a.y1, b.y1), min(a.x2, b.x2), min(a.y2, b.y2)).area
    return shared / (a.area + b.area - shared)


def matched_iou(predicted: Sequence[Box], true: Sequence[Box]) -> float:
    """Sum of IoU under the best one-to-one assignment, over the larger number of boxes.

    The paper leaves the matching of several boxes open. This one is 1 only for the right boxes and
    no others: every missed and every additional box counts as an IoU of 0.
    """
    if not predicted or not true:
        return 0.0
    overlap = np.array([[iou(p, t) for t in true] for p in predicted])
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    return float(overlap[rows, columns].sum()) / max(len(predicted), len(true))
