"""The one place where images are decoded, checked and resized."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

from trainer.domains.errors import Dropped
from trainer.domains.source import Picture

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MAX_PIXELS = 80_000_000
"""A larger image is taken for a decompression bomb; checked before any pixel is decoded."""
MAX_BYTES = 100_000_000
JPEG_QUALITY = 95
_ORIENTATION = 0x0112


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
        Dropped: the image is broken, animated or too large.
    """
    data = _bytes(picture)
    image, kind = _open(data)
    upright = ImageOps.exif_transpose(image) if _turned(image) else image
    size = scaled(upright.size, longer_side)
    if upright is image and size == image.size:
        return Prepared(data, size, size)
    small = flattened(upright).resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    if kind == "JPEG":
        small.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        small.save(out, "PNG")
    return Prepared(out.getvalue(), size, upright.size)


def decode(data: bytes) -> Image.Image:
    """A stored image in RGB."""
    return flattened(_open(data)[0])


def scaled(size: tuple[int, int], longer_side: int | None) -> tuple[int, int]:
    """Width and height with the longer of them at most `longer_side`, neither below 1."""
    longest = max(size)
    if longer_side is None or longest <= longer_side:
        return size
    width, height = (max(1, round(side * longer_side / longest)) for side in size)
    return width, height


def flattened(image: Image.Image) -> Image.Image:
    """In RGB; what is transparent becomes white, as on paper."""
    if image.mode == "RGB":
        return image
    if image.has_transparency_data:
        shown = image.convert("RGBA")
        paper = Image.new("RGBA", shown.size, "white")
        return Image.alpha_composite(paper, shown).convert("RGB")
    return image.convert("RGB")


def _bytes(picture: Picture) -> bytes:
    if isinstance(picture, Path):
        try:
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


def _open(data: bytes) -> tuple[Image.Image, str]:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        kind = str(image.format)
        if image.width * image.height > MAX_PIXELS:
            raise Dropped("image too large", f"{image.width} x {image.height} pixels")
        if getattr(image, "is_animated", False):
            raise Dropped("animated image", "only still images are supported")
        image.load()
    except Image.DecompressionBombError as error:
        raise Dropped("image too large", str(error)) from error
    except UnidentifiedImageError as error:
        raise Dropped("broken image", f"not a {' or '.join(FORMATS)} image") from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError) as error:
        # Decoders meet hostile bytes here; Pillow's give any of these.
        raise Dropped("broken image", f"{type(error).__name__}: {error}") from error
    return image, kind


def _turned(image: Image.Image) -> bool:
    return bool(image.getexif().get(_ORIENTATION, 1) != 1)
