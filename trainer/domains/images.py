"""Images of prepared rows: decoded, checked, and resized to a dataset's longer side.

What a recipe's `max_pixels` takes away is scaled when a model reads: `trainer/run/processors.py`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from trainer.domains.errors import Dropped
from trainer.domains.source import Picture

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MAX_PIXELS = 80_000_000
"""A larger image is taken for a decompression bomb; checked before any pixel is decoded."""
MAX_BYTES = 100_000_000
MAX_RATIO = 200
"""Longer side over shorter side that Qwen-VL's image processor takes: `smart_resize` in
transformers' `image_processing_qwen2_vl.py` ends the run above it."""
JPEG_QUALITY = 95
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image of an EXIF orientation the right way up. Not `ImageOps.exif_transpose`, which
writes the other EXIF fields anew and fails where a camera wrote them wrong."""
_GREY_STEPS = {"L;2": 85, "L;4": 17}
"""By raw mode of a PNG: what Pillow multiplies its grey levels by, but not its transparent one."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image as it is stored."""

    data: bytes
    size: tuple[int, int]
    """Width and height as stored."""
    source_size: tuple[int, int]
    """Width and height the right way up, before it was scaled."""


def prepare(picture: Picture, longer_side: int | None) -> Prepared:
    """Decodes an image, turns it the right way up and scales it down, keeping its shape.

    The source's bytes are kept where nothing has to change. What has to is stored as PNG, or as
    JPEG of quality 95 if it came as one. Deterministic for one version of Pillow.

    Raises:
        Dropped: the image is broken, animated, too large, or too thin for a model to read.
    """
    data = _bytes(picture)
    where = f"{picture.name}: " if isinstance(picture, Path) else ""
    image, kind, turn = _open(data, where)
    upright = image if turn is None else image.transpose(turn)
    width, height = upright.size
    if max(width, height) > MAX_RATIO * min(width, height):
        raise Dropped(
            "image too thin",
            f"{where}{width} x {height} pixels; one side may be {MAX_RATIO} times the other",
        )
    size = scaled(upright.size, longer_side)
    if turn is None and size == image.size:
        return Prepared(data, size, size)
    small = upright.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    if kind == "JPEG":
        small.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        small.save(out, "PNG")
    return Prepared(out.getvalue(), size, upright.size)


def decode(data: bytes) -> Image.Image:
    """A stored image in RGB; what is transparent becomes white, as on paper."""
    return _open(data)[0]


def scaled(size: tuple[int, int], longer_side: int | None) -> tuple[int, int]:
    """Width and height with the longer of them at most `longer_side`, neither below 1.

    Sides are rounded, but not so that a shape within `MAX_RATIO` leaves it.
    """
    longest = max(size)
    if longer_side is None or longest <= longer_side:
        return size
    least = -(-longer_side // MAX_RATIO) if longest <= MAX_RATIO * min(size) else 1
    width, height = (max(least, round(side * longer_side / longest)) for side in size)
    return width, height


def _on_paper(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        shown = image.convert("RGBA")
        paper = Image.new("RGBA", shown.size, "white")
        return Image.alpha_composite(paper, shown).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _bytes(picture: Picture) -> bytes:
    if isinstance(picture, Path):
        try:
            # Reading a pipe that someone put there would wait for ever.
            if not picture.is_file():
                raise Dropped("broken image", f"{picture.name}: no such file")
            if picture.stat().st_size > MAX_BYTES:
                raise Dropped("image too large", f"{picture.name}: over {MAX_BYTES} bytes")
            data = picture.read_bytes()
        except (OSError, ValueError) as error:
            raise Dropped("broken image", f"{picture.name}: cannot be read") from error
    elif isinstance(picture, Mapping):
        data = _embedded(picture)
    else:
        data = picture
    if len(data) > MAX_BYTES:
        raise Dropped("image too large", f"{len(data)} bytes")
    return data


def _embedded(picture: Mapping[str, Any]) -> bytes:
    """A path beside missing bytes is not followed: it is whatever the dataset's author wrote."""
    data = picture.get("bytes")
    if not isinstance(data, bytes):
        raise Dropped("broken image", "the row holds no image bytes")
    return data


def _open(data: bytes, where: str = "") -> tuple[Image.Image, str, Image.Transpose | None]:
    """An image in RGB, the name of its format, and what turns it the right way up."""
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        kind = str(image.format)
        if min(image.size) < 1:
            raise Dropped("broken image", f"{where}{image.width} x {image.height} pixels")
        if image.width * image.height > MAX_PIXELS:
            raise Dropped("image too large", f"{where}{image.width} x {image.height} pixels")
        # Phones put previews behind a photograph (MPO); those are no animation.
        if kind != "MPO" and getattr(image, "is_animated", False):
            raise Dropped("animated image", f"{where}only still images are supported")
        tile = getattr(image, "tile", None)
        raw = tile[0][3] if kind == "PNG" and tile else None
        image.load()
        turn = _UPRIGHT.get(_orientation(image))
        image = _on_paper(_eight_bits(image, raw, data))
    except Dropped:
        raise
    except Image.DecompressionBombError as error:
        raise Dropped("image too large", f"{where}{error}") from error
    except UnidentifiedImageError as error:
        raise Dropped("broken image", f"{where}not a {' or '.join(FORMATS)} image") from error
    except Exception as error:  # decoders meet hostile bytes here, and Pillow's give any error
        raise Dropped("broken image", f"{where}{type(error).__name__}: {error}") from error
    return image, "JPEG" if kind == "MPO" else kind, turn


def _eight_bits(image: Image.Image, raw: Any, data: bytes) -> Image.Image:
    """The image with 8 bits a channel; a PNG's transparent colour is compared in its own depth.

    Args:
        raw: Pillow's name of how a PNG's pixels are stored, known before they are decoded.
    """
    key = image.info.get("transparency")
    if image.mode == "I;16":
        grey = np.asarray(image)
        return _keyed((grey >> 8).astype(np.uint8), None if key is None else grey == key)
    if raw == "RGB;16B" and key is not None:
        upper = np.asarray(image)
        is_key = (upper.astype(np.uint16) << 8 | _lower_bytes(data)) == np.array(key, np.uint16)
        return _keyed(upper, is_key.all(axis=2))
    # In the lower depths only the lower bits of a key count.
    if image.mode == "L" and key is not None:
        image.info["transparency"] = key * _GREY_STEPS.get(raw, 1) & 255
    if image.mode == "RGB" and isinstance(key, tuple):
        image.info["transparency"] = tuple(value & 255 for value in key)
    return image


def _keyed(pixels: Any, transparent: Any) -> Image.Image:
    """Pixels (h, w) or (h, w, 3) as an image, transparent where a mask (h, w) says so."""
    image = Image.fromarray(pixels)
    if transparent is not None:
        image.putalpha(Image.fromarray(np.where(transparent, 0, 255).astype(np.uint8)))
    return image


def _lower_bytes(data: bytes) -> Any:
    """The lower bytes (h, w, 3) of a PNG of 16 bits a channel, of which Pillow reads the upper.

    It takes the same bytes for numbers that begin with their lower one.
    """
    image = Image.open(io.BytesIO(data), formats=("PNG",))
    image.tile = [(*part[:3], "RGB;16L") for part in image.tile]  # type: ignore[misc]
    return np.asarray(image)


def _orientation(image: Image.Image) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # a torn EXIF block does no harm
            return image.getexif().get(_ORIENTATION)
    except Exception:  # Pillow's reader gives any error for an EXIF block that is broken
        return None
