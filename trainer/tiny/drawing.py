"""Pictures of the offline world: 64 x 64 pixels, a grid of 4 x 4 cells, one thing a cell.

Paper is lit from one corner, so that its colour tells where on it a cell lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

SIDE = 64
CELL = 16
CELLS = SIDE // CELL
UNIT = 8
"""Pixels to one unit of a box's coordinates."""
_FINE = 8  # shapes are drawn this many times larger and scaled down

Form = Literal["circle", "square", "triangle", "tall", "wide"]
PLAIN_FORMS: tuple[Form, ...] = ("circle", "square", "triangle")
Paper = Literal["white", "night", "graph", "framed"]

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 30),
    "green": (20, 150, 50),
    "blue": (40, 60, 230),
    "yellow": (245, 215, 20),
    "purple": (150, 30, 170),
    "orange": (250, 130, 20),
}

INK = (90, 90, 90)

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Thing:
    """One drawn object: its cell (column, row), form and colour."""

    column: int
    row: int
    form: Form
    colour: str

    def box(self) -> Box:
        """Corners in units; tall things take the left half of their cell, wide ones the top."""
        x, y = 2 * self.column, 2 * self.row
        return (x, y, x + (1 if self.form == "tall" else 2), y + (1 if self.form == "wide" else 2))


def sheet(paper: Paper) -> np.ndarray:
    """An empty picture, uint8 of shape (64, 64, 3)."""
    return _papers()[paper].copy()


def draw_thing(picture: np.ndarray, thing: Thing, *, hollow: bool = False) -> None:
    y, x = thing.row * CELL, thing.column * CELL
    _paste(picture, x, y, _mask(thing.form, hollow), COLOURS[thing.colour])


def draw_arrow(
    picture: np.ndarray, column: int, row: int, direction: Literal["down", "right"]
) -> None:
    """A small arrow over the far edge of a cell."""
    mask = _arrow(direction)
    if direction == "down":
        _paste(picture, column * CELL, row * CELL + CELL - 3, mask, INK)
    else:
        _paste(picture, column * CELL + CELL - 3, row * CELL, mask, INK)


def draw_bar(picture: np.ndarray, column: int, height: int, width: int, colour: str) -> None:
    """A bar standing on the lower edge; height and width in pixels."""
    left = column * CELL + 1
    picture[SIDE - height :, left : left + width] = COLOURS[colour]


def _paste(
    picture: np.ndarray, x: int, y: int, mask: np.ndarray, colour: tuple[int, int, int]
) -> None:
    height, width = mask.shape
    patch = picture[y : y + height, x : x + width]
    share = mask[: patch.shape[0], : patch.shape[1], None]
    ink = np.array(colour, dtype=np.uint16)
    patch[:] = (patch * (255 - share) + ink * share) // 255


@cache
def _mask(form: Form, hollow: bool) -> np.ndarray:
    """How much of each pixel of a cell the form covers, 0 to 255 as uint16."""
    size = CELL * _FINE
    image = Image.new("L", (size, size), 0)
    pen = ImageDraw.Draw(image)
    low, high = 1.5 * _FINE, size - 2.5 * _FINE
    half = size / 2 - 1.5 * _FINE
    inside = 2.5 * _FINE

    def both(shape: str, corners: tuple[float, float, float, float]) -> None:
        x1, y1, x2, y2 = corners
        paint = getattr(pen, shape)
        paint((x1, y1, x2, y2), fill=255)
        if hollow:
            paint((x1 + inside, y1 + inside, x2 - inside, y2 - inside), fill=0)

    if form == "circle":
        both("ellipse", (low, low, high, high))
    elif form == "square":
        both("rectangle", (low, low, high, high))
    elif form == "tall":
        both("rectangle", (_FINE, _FINE / 2, half, size - _FINE))
    elif form == "wide":
        both("rectangle", (_FINE / 2, _FINE, size - _FINE, half))
    else:
        pen.polygon([(size / 2, low), (low, high), (high, high)], fill=255)
        if hollow:
            pen.polygon(
                [
                    (size / 2, low + 2 * inside),
                    (low + 1.6 * inside, high - inside),
                    (high - 1.6 * inside, high - inside),
                ],
                fill=0,
            )
    small = image.resize((CELL, CELL), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.uint16)


@cache
def _arrow(direction: Literal["down", "right"]) -> np.ndarray:
    size = CELL * _FINE
    image = Image.new("L", (size, 6 * _FINE), 0)
    pen = ImageDraw.Draw(image)
    middle = size / 2
    pen.polygon(
        [(middle - 3 * _FINE, _FINE), (middle + 3 * _FINE, _FINE), (middle, 6 * _FINE)], fill=255
    )
    small = np.asarray(image.resize((CELL, 6), Image.Resampling.BOX), dtype=np.uint16)
    return small if direction == "down" else small.T


@cache
def _papers() -> dict[Paper, np.ndarray]:
    ramp = np.linspace(0.0, 1.0, SIDE)
    across, down = np.meshgrid(ramp, ramp)
    light = np.stack([170 + 85 * across, np.full_like(across, 235), 170 + 85 * down], axis=-1)
    white = light.astype(np.uint8)
    dark = np.stack([85 * across, np.full_like(across, 70), 85 * down], axis=-1)
    night = (dark + 20).astype(np.uint8)
    night[:5] = (230, 160, 60)  # the headline
    graph = white.copy()
    graph[::8] = graph[::8] // 5 * 4
    graph[:, ::8] = graph[:, ::8] // 5 * 4
    framed = white.copy()
    for edge in (slice(0, 2), slice(-2, None)):
        framed[edge] = (120, 80, 40)
        framed[:, edge] = (120, 80, 40)
    return {"white": white, "night": night, "graph": graph, "framed": framed}
