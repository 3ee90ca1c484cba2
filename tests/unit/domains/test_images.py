"""Images: decoded in one place, within limits, the right way up and on white paper."""

import contextlib
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.datasets import jpeg, png
from trainer.domains import images
from trainer.domains.errors import Dropped


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
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.new("RGB", (40, 20)).save(out, "JPEG", exif=exif)
    prepared = images.prepare(out.getvalue(), longer_side=None)
    assert prepared.size == prepared.source_size == opened(prepared.data).size == (20, 40)


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


def test_a_decompression_bomb_is_refused_by_its_head():
    bomb = bytearray(png(1, 1))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    with pytest.raises(Dropped, match="image too large"):
        images.prepare(bytes(bomb), longer_side=640)


def test_a_large_image_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    with pytest.raises(Dropped, match="image too large: 20 x 10 pixels"):
        images.prepare(png(20, 10), longer_side=None)


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
