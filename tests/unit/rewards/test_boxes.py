"""Boxes: what parses, how overlap is counted, and what nonsense earns."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.box_text import (
    MAX_BOXES,
    parse_boxes,
    parse_detections,
    parse_true_boxes,
    read_boxes,
)
from rewards.boxes import Box, greedy_iou, iou, matched_iou

coordinate = st.integers(0, 40)
boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h),
    coordinate,
    coordinate,
    st.integers(1, 20),
    st.integers(1, 20),
)


@given(boxes, boxes)
def test_iou_is_symmetric_bounded_and_one_only_for_the_same_box(a, b):
    assert iou(a, b) == pytest.approx(iou(b, a))
    assert 0 <= iou(a, b) <= 1
    assert iou(a, a) == 1
    assert a == b or iou(a, b) < 1


@given(st.lists(boxes, min_size=1, max_size=5), st.lists(boxes, min_size=1, max_size=5))
def test_matched_iou_is_the_best_of_all_assignments(predicted, true):
    few, many = sorted((predicted, true), key=len)
    best = max(
        sum(iou(a, b) for a, b in zip(few, chosen, strict=True))
        for chosen in permutations(many, len(few))
    )
    assert matched_iou(predicted, true) == pytest.approx(best / len(many))


def test_missed_and_additional_boxes_cost():
    a, b = Box(0, 0, 10, 10), Box(20, 20, 30, 30)
    assert matched_iou([a, b], [b, a]) == 1
    assert matched_iou([a], [a, b]) == 0.5
    assert matched_iou([a, b], [a]) == 0.5
    assert matched_iou([a, a], [a]) == 0.5, "naming a box twice is no way to score"
    assert matched_iou([], [a]) == 0


def test_swapped_corners_and_empty_boxes_score_nothing():
    true = Box(10, 10, 20, 20)
    assert iou(Box(20, 20, 10, 10), true) == 0
    assert iou(Box(10, 10, 10, 20), true) == 0
    assert iou(Box(0, 0, 0, 0), Box(0, 0, 0, 0)) == 0


@pytest.mark.parametrize(
    "text",
    [
        "[{'Position': [1, 2, 3, 4], 'Confidence': 0.9}]",
        '[{"Position": [1, 2, 3, 4], "Confidence": 1}]',
        " [ { 'Position' : ( 1.0, 2, 3, 4 ) , 'Confidence' : 1 } , ] ",
    ],
)
def test_the_papers_box_list_parses_in_the_spellings_models_use(text):
    assert parse_boxes(text) == [Box(1, 2, 3, 4)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[1, 2, 3, 4]",
        "[{'Position': [1, 2, 3], 'Confidence': 1}]",
        "[{'Position': [1, 2, 3, nan], 'Confidence': 1}]",
        "[{'Position': [1, 2, 3, 4]}]",
        "[{'Position': [1, 2, 3, 4], 'Confidence': 1}",
        "[{'Position': [1, 2, 3, 4], 'Confidence': 1}] and more",
        "[{'Position': [__import__('os'), 2, 3, 4], 'Confidence': 1}]",
        "[" * 100_000,
        "[{'Position': [" + "9" * 100_000 + ", 2, 3, 4], 'Confidence': 1}]",
    ],
)
def test_anything_else_does_not_parse(text):
    assert parse_boxes(text) is None


def test_a_flood_of_boxes_does_not_parse():
    item = "{'Position': [1, 2, 3, 4], 'Confidence': 1}"
    assert len(parse_boxes(f"[{', '.join([item] * MAX_BOXES)}]")) == MAX_BOXES
    assert parse_boxes(f"[{', '.join([item] * (MAX_BOXES + 1))}]") is None


def test_a_broken_true_answer_is_an_error_of_the_row():
    assert parse_true_boxes("[[1, 2, 3, 4], [5, 6, 7, 8]]") == [Box(1, 2, 3, 4), Box(5, 6, 7, 8)]
    with pytest.raises(ValueError, match="not a list of"):
        parse_true_boxes("somewhere left")
