"""Images: decoded in one place, within limits, the right way up and on white paper."""

import contextlib
import io
import os
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests.support.datasets import jpeg, png
from trainer.domains import images
from trainer.domains.errors import Dropped


def raw_png(
    width: int, depth: int, kind: int, line: bytes, key: Sequence[int] = (), **chunks: bytes
) -> bytes:
    """A PNG of one line of pixels; `key` is its transparent colour."""
    if key:
        chunks["tRNS"] = struct.pack(f">{len(key)}H", *key)
    parts = {
        "IHDR": struct.pack(">IIBBBBB", width, 1, depth, kind, 0, 0, 0),
        **chunks,
        "IDAT": zlib.compress(b"\0" + line),
        "IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body))
        + name.encode()
        + body
        + struct.pack(">I", zlib.crc32(name.encode() + body))
        for name, body in parts.items()
    )


def reds(data: bytes) -> list[int]:
    """The first line's red channel, as training reads it."""
    return np.asarray(images.decode(images.prepare(data, longer_side=None).data))[0, :, 0].tolist()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("data", [png(300, 200), jpeg(300, 200)])
def test_an_image_that_fits_keeps_its_bytes(data):
    prepared = images.prepare(data, longer_side=640)
    assert prepared.data == data
    assert prepared.size == prepared.source_size == (300, 200)


@pytest.mark.parametrize(("make", "kind"), [(png, "PNG"), (jpeg, "JPEG")])
def test_a_larger_one_is_scaled_to_the_longer_side_and_keeps_its_kind(make, kind):
    prepared = images.prepare(make(1280, 320), longer_side=640)
    assert (prepared.size, prepared.source_size) == ((640, 160), (1280, 320))
    assert (opened(prepared.data).size, opened(prepared.data).format) == ((640, 160), kind)


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(28, 2000))
def test_scaling_keeps_the_shape_to_a_pixel(width, height, side):
    w, h = images.scaled((width, height), side)
    assert 1 <= w <= max(width, 1)
    assert 1 <= h <= max(height, 1)
    assert max(w, h) <= max(side, 1)
    assert abs(w * max(width, height) - width * max(w, h)) <= max(width, height)


def test_an_image_stored_on_its_side_is_turned():
    prepared = images.prepare(turned_jpeg(6), longer_side=None)
    assert prepared.size == prepared.source_size == opened(prepared.data).size == (20, 40)


def turned_jpeg(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    half = Image.new("RGB", (40, 20))
    half.paste((255, 0, 0), (0, 0, 20, 10))
    half.save(out, "JPEG", exif=exif, quality=95)
    return out.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_any_viewer_does(orientation):
    data = turned_jpeg(orientation)
    shown = images.decode(images.prepare(data, longer_side=None).data)
    right = ImageOps.exif_transpose(opened(data))
    assert shown.size == right.size
    assert np.abs(np.asarray(shown).astype(int) - np.asarray(right)).max() < 16


@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_an_orientation_that_means_nothing_changes_no_byte(orientation):
    data = turned_jpeg(orientation)
    assert images.prepare(data, longer_side=None).data == data


def test_a_broken_exif_block_does_no_harm():
    data = raw_png(1, 8, 0, b"\x07", eXIf=b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x05\0\0\0\x01")
    assert reds(data) == [7]
    assert reds(raw_png(1, 8, 0, b"\x07", eXIf=b"no exif")) == [7]


@pytest.mark.parametrize(
    ("data", "right"),
    [
        (raw_png(4, 16, 0, struct.pack(">4H", 0, 255, 256, 65535)), [0, 0, 1, 255]),
        (raw_png(4, 16, 0, struct.pack(">4H", 0, 255, 256, 65535), [0]), [255, 0, 1, 255]),
        (raw_png(4, 8, 0, b"\x00\x10\x20\x30", [0x10]), [0, 255, 0x20, 0x30]),
        (raw_png(4, 4, 0, b"\x01\x23", [1]), [0, 255, 34, 51]),
        (raw_png(4, 2, 0, b"\x1b", [2]), [0, 85, 255, 255]),
        (raw_png(4, 1, 0, b"\x50", [0]), [255, 255, 255, 255]),
        (raw_png(4, 1, 0, b"\x50"), [0, 255, 0, 255]),
        (raw_png(2, 8, 2, bytes(range(1, 7)), [4, 5, 6]), [1, 255]),
        (raw_png(2, 16, 2, struct.pack(">6H", 0, 0, 0, 100, 0, 0), [0, 0, 0]), [255, 0]),
        (raw_png(2, 16, 2, struct.pack(">6H", 0, 0, 0, 100, 0, 0), [100, 0, 0]), [0, 255]),
        (raw_png(2, 8, 3, b"\x00\x01", PLTE=bytes(range(6)), tRNS=b"\x80\x00"), [127, 255]),
        (raw_png(2, 8, 3, b"\x00\x01", PLTE=bytes(range(6)), tRNS=b"\xff\x00"), [0, 255]),
        (raw_png(2, 8, 4, b"\x01\xff\x02\x00"), [1, 255]),
    ],
)
def test_every_depth_and_every_kind_of_transparency_is_read(data, right):
    assert reds(data) == right


def test_a_photograph_with_a_preview_in_it_is_a_still_image():
    out = io.BytesIO()
    first, preview = Image.new("RGB", (64, 48), (10, 200, 30)), Image.new("RGB", (16, 12))
    first.save(out, "MPO", save_all=True, append_images=[preview])
    assert images.prepare(out.getvalue(), longer_side=None).data == out.getvalue()
    small = images.prepare(out.getvalue(), longer_side=32)
    assert (small.size, opened(small.data).format) == ((32, 24), "JPEG")


@pytest.mark.parametrize("size", [(201, 1), (900, 4), (4, 900), (1201, 6)])
@pytest.mark.parametrize("longer_side", [None, 64])
def test_an_image_too_thin_for_a_model_is_dropped(size, longer_side):
    with pytest.raises(Dropped, match=f"image too thin: {size[0]} x {size[1]} pixels"):
        images.prepare(png(*size), longer_side)


@pytest.mark.parametrize("size", [(200, 1), (1990, 10), (5, 1000), (2001, 11)])
@pytest.mark.parametrize("longer_side", [None, 640, 333, 28])
def test_scaling_makes_no_image_too_thin(size, longer_side):
    sides = images.prepare(png(*size), longer_side).size
    assert max(sides) <= images.MAX_RATIO * min(sides)


def test_what_is_transparent_becomes_white():
    out = io.BytesIO()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(out, "PNG")
    assert images.decode(out.getvalue()).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "broken image"),
        (b"not an image", "broken image"),
        (png(200, 200)[:60], "broken image"),
        (jpeg(200, 200)[:300], "broken image"),
        ({"bytes": None, "path": "/etc/passwd"}, "broken image"),
        (b"P6 2 2 255 " + bytes(12), "broken image"),
    ],
)
def test_bytes_that_are_no_image_of_a_known_kind_are_named_broken(data, reason):
    with pytest.raises(Dropped, match=reason):
        images.prepare(data, longer_side=None)


@pytest.mark.parametrize("size", [(10_000, 8_001), (60_000, 60_000)])
def test_a_large_image_and_a_decompression_bomb_are_refused_by_their_heads(size):
    head = bytearray(png(1, 1))  # of which no pixel could be decoded in that size
    head[16:24] = b"".join(side.to_bytes(4, "big") for side in size)
    head[29:33] = zlib.crc32(head[12:29]).to_bytes(4, "big")
    with pytest.raises(Dropped, match="image too large"):
        images.prepare(bytes(head), longer_side=640)


def test_a_picture_that_is_no_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("pipe.png", "missing.png", "."):
        with pytest.raises(Dropped, match="no such file"):
            images.prepare(tmp_path / name, longer_side=None)
    (tmp_path / "torn.png").write_bytes(png(200, 200)[:60])
    with pytest.raises(Dropped, match=r"torn\.png: "):
        images.prepare(tmp_path / "torn.png", longer_side=None)


def test_an_animation_is_refused():
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 255)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=100)
    with pytest.raises(Dropped, match="animated image"):
        images.prepare(out.getvalue(), longer_side=None)


def test_the_same_image_gives_the_same_bytes():
    data = jpeg(1000, 500)
    assert images.prepare(data, 640) == images.prepare(data, 640)


def _encoded(kind: str) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((40, 30), 60).convert("RGB").save(out, kind)
    return out.getvalue()


ENCODED = {kind: _encoded(kind) for kind in images.FORMATS}


@given(
    st.sampled_from(images.FORMATS),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    st.integers(1, 10_000),
)
def test_whatever_is_done_to_an_image_it_is_read_or_dropped(kind, changes, length):
    data = bytearray(ENCODED[kind])
    for place, value in changes:
        data[place % len(data)] = value
    with contextlib.suppress(Dropped):
        prepared = images.prepare(bytes(data[:length]), longer_side=28)
        assert images.decode(prepared.data).size == prepared.size
