"""A row's images with the right boxes drawn in, to look at."""

from __future__ import annotations

from PIL import Image, ImageDraw

from rewards.box_text import parse_true_boxes
from trainer.rows import Row

COLOUR = (255, 0, 80)


def drawn(row: Row) -> list[Image.Image]:
    """Copies of the images; a row with boxes has one, and its boxes in it."""
    copies = [image.copy() for image in row.images]
    if row.answer_type == "boxes":
        for image in copies:
            pen = ImageDraw.Draw(image)
            for box in parse_true_boxes(row.answer):
                pen.rectangle(_pixels(row, image, tuple(box)), outline=COLOUR, width=2)
    return copies


def _pixels(row: Row, image: Image.Image, box: tuple[float, ...]) -> list[float]:
    if row.coordinates == "pixels":
        return list(box)
    sides = (image.width, image.height) * 2
    return [value * side / 1000 for value, side in zip(box, sides, strict=True)]
