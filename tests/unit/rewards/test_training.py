"""The paper's three training rewards and their gate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.scoring import answer_score, format_score
from rewards.tags import split_response
from rewards.training import accuracy_reward, format_reward, iou_reward

BOXES = "[{'Position': [0, 0, 10, 10], 'Confidence': 1.0}]"
fragments = st.sampled_from(
    ["<think>", "</think>", "<answer>", "</answer>", "A", " ", "\n", BOXES, "\ud800", "[", "\x00"]
)
junk = st.text() | st.lists(fragments, max_size=12).map("".join)
answer_types = st.sampled_from(["boxes", "choice", "text", "number"])


def test_an_empty_answer_has_the_form_but_earns_no_format_reward():
    assert split_response("<think></think><answer></answer>") == ("", "")
    assert format_score("<think></think><answer></answer>", "text") == 0


def test_a_broken_form_earns_nothing_even_with_the_right_answer():
    assert answer_score("<think>x</think><answer>B</answer>", "B", "choice") == 1
    assert answer_score("<answer>B</answer>", "B", "choice") == 0
    assert answer_score("B", "B", "choice") == 0


def test_a_number_in_the_thoughts_is_not_the_answer():
    assert answer_score("<think>5</think><answer>4</answer>", "5", "number") == 0


def test_boxes_earn_format_only_when_the_list_parses():
    assert format_score(f"<think>x</think><answer>{BOXES}</answer>", "boxes") == 1
    assert format_score("<think>x</think><answer>left</answer>", "boxes") == 0
    assert format_score("<think>x</think><answer>left</answer>", "text") == 1


def test_each_reward_judges_its_own_rows_and_answers_none_for_others():
    completions = [
        f"<think>x</think><answer>{BOXES}</answer>",
        [{"role": "assistant", "content": "<think>x</think><answer>B</answer>"}],
        "B",
    ]
    columns = {
        "answer": ["[[0, 0, 10, 20]]", "B", "B"],
        "answer_type": ["boxes", "choice", "choice"],
        "domain": ["coco", "sat", "sat"],
    }
    assert format_reward(completions, **columns) == [1, 1, 0]
    assert accuracy_reward(completions, **columns) == [None, 1, 0]
    assert iou_reward(completions, **columns) == [0.5, None, None]


@given(junk, answer_types)
def test_any_text_is_survived_and_scores_between_0_and_1(text, answer_type):
    true = "[[0, 0, 10, 10]]" if answer_type == "boxes" else "A"
    form, right = format_score(text, answer_type), answer_score(text, true, answer_type)
    assert form in (0, 1)
    assert 0 <= right <= 1
    assert right == 0 or form == 1, "the gate holds"


@pytest.mark.parametrize(
    "unit", ["<think>", "</think><answer>", "<think>x</think> <answer>", "[", "{'Position': [", " "]
)
def test_megabytes_of_junk_are_scored_in_linear_time(unit):
    text = "<think>" + unit * (2_000_000 // len(unit)) + "</answer>"
    assert 0 <= answer_score(text, "[[0, 0, 1, 1]]", "boxes") <= 1
