"""The paper's three training rewards and their gate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.scoring import answer_score, format_score
from rewards.tags import split_response
from rewards.training import (
    REWARDS,
    accuracy_reward,
    box_greedy_reward,
    format_reward,
    iou_reward,
    length_penalty,
    repetition_penalty,
)

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


def test_rows_are_judged_by_their_datasets_rule():
    completions = ["<think>x</think><answer>To the Left.</answer>"] * 2
    columns = {"answer": ["to the left"] * 2, "answer_type": ["text"] * 2}
    assert accuracy_reward(completions, **columns, rule=["sat-text", "exact"]) == [1, 0]
    options = {"options": ["red", "green"]}
    judged = accuracy_reward(
        ["<think>x</think><answer>(B)</answer>"], ["B"], ["choice"], ["mmmu"], [options]
    )
    assert judged == [1]


def test_boxes_may_be_matched_greedily_instead():
    near = "[{'Position': [0, 0, 10, 6], 'Confidence': 1.0}]"
    far = "[{'Position': [0, 0, 10, 5], 'Confidence': 1.0}]"
    completions = [f"<think>x</think><answer>{boxes}</answer>" for boxes in (near, far, "left")]
    columns = {"answer": ["[[0, 0, 10, 10]]"] * 3, "answer_type": ["boxes"] * 3}
    assert box_greedy_reward(completions, **columns) == [pytest.approx(0.6), 0, 0]
    assert iou_reward(completions, **columns) == [pytest.approx(0.6), 0.5, 0]
    assert box_greedy_reward(["x"], ["A"], ["choice"]) == [None]


FORMED = "<think>one two three one two three</think><answer>A</answer>"


@pytest.mark.parametrize(("tokens", "penalty"), [(0, 0), (80, 0), (90, -0.5), (100, -1), (150, -1)])
def test_length_costs_in_the_last_fifth_of_the_tokens_allowed(tokens, penalty):
    found = length_penalty([FORMED], ["choice"], [[0] * tokens], [100])
    assert found == [pytest.approx(penalty)]
    assert length_penalty(["A"], ["choice"], [[0] * tokens], [100]) == [0], "the gate holds"


def test_saying_the_same_again_costs_its_share():
    thoughts = ["a b c a b c", "a b c d e f", "a a a a a a", "so"]
    completions = [f"<think> {text} </think>\n<answer>A</answer>" for text in thoughts]
    costs = repetition_penalty(completions, ["choice"] * 4)
    assert costs == [pytest.approx(-1 / 7), 0, pytest.approx(-3 / 7), 0]
    assert repetition_penalty(["a a a a"], ["choice"]) == [0], "the gate holds"


@given(junk, answer_types, st.integers(0, 200))
def test_every_reward_is_bounded_and_nothing_for_a_broken_form(text, answer_type, tokens):
    true = "[[0, 0, 10, 10]]" if answer_type == "boxes" else "7"
    columns = {
        "answer": [true],
        "answer_type": [answer_type],
        "completion_ids": [[0] * tokens],
        "token_limit": [100],
        "domain": ["d"],
    }
    [form] = REWARDS["format"]([text], **columns)
    for name, reward in REWARDS.items():
        [value] = reward([text], **columns)
        low, high = (-1, 0) if name.endswith("penalty") else (0, 1)
        assert value is None or low <= value <= high
        assert form or not value
