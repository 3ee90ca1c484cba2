"""Boxes: from outlines and sources' coordinates to whole numbers of a model's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.domains import boxes
from trainer.domains.errors import Dropped

SIZE = {"source_size": (1280, 640), "size": (640, 320)}


def test_an_outline_becomes_the_smallest_box_around_it():
    assert boxes.around([[5, 9], [2, 3], [4, 12.5]]) == (2, 3, 5, 12.5)


@pytest.mark.parametrize(
    ("unit", "box", "thousandths", "pixels"),
    [
        ("pixels", (128, 64, 640, 640), [100, 100, 500, 1000], [64, 32, 320, 320]),
        ("thousandths", (100, 100, 500, 1000), [100, 100, 500, 1000], [64, 32, 320, 320]),
        ("fractions", (0.1, 0.1, 0.5, 1.0), [100, 100, 500, 1000], [64, 32, 320, 320]),
    ],
)
def test_units_of_the_source_become_those_of_the_model(unit, box, thousandths, pixels):
    for to, wanted in (("thousandths", thousandths), ("pixels", pixels)):
        assert boxes.convert([box], unit, **SIZE, to=to, clip=False) == [wanted]


@given(
    st.tuples(*[st.floats(-100, 1400)] * 4),
    st.sampled_from(["thousandths", "pixels"]),
    st.booleans(),
)
def test_a_box_lies_in_the_image_and_has_an_area_or_the_row_is_dropped(box, to, clip):
    try:
        [(x1, y1, x2, y2)] = boxes.convert([box], "pixels", **SIZE, to=to, clip=clip)
    except Dropped:
        return
    width, height = (1000, 1000) if to == "thousandths" else SIZE["size"]
    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height


def test_a_box_over_the_edge_is_wrong_unless_it_was_drawn_by_hand():
    over = [(600, 100, 1400, 300)]
    with pytest.raises(Dropped, match="answer outside the image"):
        boxes.convert(over, "pixels", **SIZE, to="pixels", clip=False)
    cut = boxes.convert(over, "pixels", **SIZE, to="pixels", clip=True)
    assert cut == [[300, 50, 640, 150]]


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((10, 10, 10, 50), "empty box"),
        ((50, 10, 10, 50), "empty box"),
        ((1300, 10, 1400, 50), "answer outside the image"),
        ((float("nan"), 10, 10, 50), "malformed row"),
    ],
)
def test_a_box_that_is_none_is_named(box, reason):
    with pytest.raises(Dropped, match=reason):
        boxes.convert([box], "pixels", **SIZE, to="thousandths", clip=True)


def test_a_flood_of_boxes_is_refused():
    with pytest.raises(Dropped, match="too many boxes"):
        boxes.convert([(0, 0, 9, 9)] * 101, "pixels", **SIZE, to="pixels", clip=False)
