"""Boxes in an image: around an outline, and from a source's coordinates to a model's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rewards.box_text import MAX_BOXES
from trainer.domains.errors import Dropped
from trainer.domains.source import BoxUnit
from trainer.rows import Coordinates

Corners = tuple[float, float, float, float]

TOLERANCE = 1.0
"""Units of the target by which rounding may have put a corner over the image's edge."""


def around(points: Iterable[Sequence[float]]) -> Corners:
    """The smallest upright box around points (x, y).

    Raises:
        Dropped: there are no points.
    """
    pairs = [(float(point[0]), float(point[1])) for point in points]
    if not pairs:
        raise Dropped("empty box", "the outline has no points")
    xs, ys = zip(*pairs, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def convert(
    boxes: Sequence[Corners],
    unit: BoxUnit,
    *,
    source_size: tuple[int, int],
    size: tuple[int, int],
    to: Coordinates,
    clip: bool,
) -> list[list[int]]:
    """Boxes as a row's answer holds them: whole numbers in the model's coordinates.

    Args:
        source_size: width and height that a box in pixels refers to.
        size: width and height of the stored image.
        clip: cut boxes at the image's edge instead of refusing those that reach over it.

    Raises:
        Dropped: no box, too many, one outside the image, or one without area.
    """
    if not boxes:
        raise Dropped("no boxes", filtered=True)
    if len(boxes) > MAX_BOXES:
        raise Dropped("too many boxes", f"{len(boxes)}; at most {MAX_BOXES}")
    whole = {"pixels": source_size, "thousandths": (1000, 1000), "fractions": (1, 1)}[unit]
    target = (1000, 1000) if to == "thousandths" else size
    factors = [target[axis] / whole[axis] for axis in (0, 1, 0, 1)]
    converted = []
    for box in boxes:
        if not all(map(math.isfinite, box)):
            raise Dropped("malformed row", f"box {list(box)} is not finite")
        corners = [value * factor for value, factor in zip(box, factors, strict=True)]
        converted.append(_inside(corners, target, clip=clip, shown=box))
    return converted


def _inside(
    corners: list[float], target: tuple[int, int], *, clip: bool, shown: Corners
) -> list[int]:
    limits = (*target, *target)
    outside = any(
        not -TOLERANCE <= value <= limit + TOLERANCE
        for value, limit in zip(corners, limits, strict=True)
    )
    if outside and not clip:
        raise Dropped("answer outside the image", f"box {list(shown)}")
    x1, y1, x2, y2 = (
        min(max(round(value), 0), limit) for value, limit in zip(corners, limits, strict=True)
    )
    if x1 >= x2 or y1 >= y2:
        raise Dropped("answer outside the image" if outside else "empty box", f"{list(shown)}")
    return [x1, y1, x2, y2]
