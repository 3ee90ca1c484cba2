"""Boxes: what parses, how overlap is counted, and what nonsense earns."""

import json
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.box_text import MAX_BOXES, parse_boxes, parse_true_boxes, read_boxes
from rewards.boxes import Box, Detection, greedy_iou, iou, matched_iou
from rewards.cases import Case
from rewards.rules import RULES

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


@pytest.mark.parametrize(
    "text",
    [
        "[100, 200, 300, 400]",
        "(100, 200, 300, 400)",
        "100, 200, 300, 400",
        "[[100, 200, 300, 400]]",
        "[(1e2, 2e2, 300.0, +400)]",
        "{'Position': [100, 200, 300, 400]}",
        "[{'Confidence': 0.5, 'Position': (100, 200, 300, 400)}]",
        '```json\n[{"bbox_2d": [100, 200, 300, 400], "label": "cup"}]\n```',
        '{"bbox": [100, 200, 300, 400]}',
        "<|box_start|>(100,200),(300,400)<|box_end|>",
        "the cup is at [100, 200, 300, 400].",
    ],
)
def test_a_box_is_read_in_whatever_spelling_but_earns_no_format(text):
    assert read_boxes(text) == [Box(100, 200, 300, 400)]
    assert parse_boxes(text) is None


@pytest.mark.parametrize(
    "text", ["", "none", "1, 2, 3", "[1, 2, 3]", "[1, 2, 3, nan]", "[1e99, 2, 3, 4]", "1 2 3 4"]
)
def test_where_there_is_no_box_none_is_read(text):
    assert read_boxes(text) == []


def test_a_flood_of_bare_boxes_is_no_answer():
    assert len(read_boxes("[1, 2, 3, 4]" * MAX_BOXES)) == MAX_BOXES
    assert read_boxes("[1, 2, 3, 4]" * (MAX_BOXES + 1)) == []


@given(st.lists(boxes, min_size=1, max_size=6), st.lists(boxes, min_size=1, max_size=6), st.data())
def test_the_order_of_boxes_does_not_matter(predicted, true, data):
    score = matched_iou(predicted, true)
    predicted, true = (data.draw(st.permutations(some)) for some in (predicted, true))
    assert matched_iou(predicted, true) == pytest.approx(score)
    assert matched_iou(true, predicted) == pytest.approx(score)


@given(st.lists(boxes, min_size=1, max_size=6, unique=True))
def test_the_right_boxes_score_one_by_both_matchings(true):
    assert matched_iou(true, true) == pytest.approx(1)
    assert greedy_iou([Detection(box, 0.5) for box in true], true) == pytest.approx(1)


@given(st.lists(boxes, max_size=6), st.lists(boxes, max_size=6))
def test_greedy_matching_is_never_better_than_the_best_assignment(predicted, true):
    once = list(dict.fromkeys(predicted))
    greedy = greedy_iou([Detection(box, 0.5) for box in predicted], true)
    assert 0 <= greedy <= matched_iou(once, true) + 1e-9


def test_greedy_matching_lets_the_surest_box_choose_and_counts_no_small_overlap():
    true = [Box(0, 0, 10, 10)]
    off, right = Box(2, 0, 12, 10), Box(0, 0, 10, 10)
    surest_is_off = [Detection(right, 0.1), Detection(off, 0.9)]
    assert greedy_iou(surest_is_off, true) == pytest.approx(iou(off, right) / 2)
    assert greedy_iou([Detection(Box(0, 0, 10, 5), 1.0)], true) == 0, "IoU is 0.5, not above"


@given(
    st.lists(boxes, min_size=1, max_size=4),
    st.lists(boxes, min_size=1, max_size=4),
)
def test_lisas_areas_of_many_boxes_are_those_of_filled_masks(said, true):
    def mask(some):
        filled = np.zeros((80, 80), dtype=bool)
        for box in some:
            filled[box.y1 : box.y2, box.x1 : box.x2] = True
        return filled

    case = Case(json.dumps(said), json.dumps(true), {"size": [80, 80]})
    both, either = mask(said) & mask(true), mask(said) | mask(true)
    assert RULES["lisa-giou"].score(case) == pytest.approx(both.sum() / either.sum())
    assert RULES["lisa-ciou"].weight(case) == either.sum()


def test_boxes_are_cut_at_the_images_edge_for_lisas_areas():
    case = Case(
        "[-50, -50, 5000, 500]", "[0, 0, 500, 500]", {"size": [20, 10], "grid": [1000, 1000]}
    )
    assert RULES["lisa-giou"].score(case) == 0.5
    assert RULES["lisa-ciou"].weight(case) == 100


def test_ciou_counts_large_things_more_than_small_ones():
    size = {"size": [100, 100]}
    cases = [
        Case("[0, 0, 10, 10]", "[0, 0, 10, 10]", size),
        Case("[0, 0, 50, 100]", "[0, 0, 100, 100]", size),
    ]
    assert RULES["lisa-giou"].of_all(cases).score == 0.75
    assert RULES["lisa-ciou"].of_all(cases).score == pytest.approx(5100 / 10100)
    assert RULES["lisa-ciou"].of_all(cases).se > 0
