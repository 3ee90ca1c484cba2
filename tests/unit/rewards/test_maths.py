"""Equality by math-verify: what is equal, and that nothing makes a caller wait."""

from __future__ import annotations

import threading
import time

import pytest

from modomodo import extras
from modomodo.errors import CommandFailed
from rewards import maths
from rewards.cases import Case
from rewards.maths import Judge, is_equal, marked
from rewards.rules import RULES
from rewards.training import math_reward

PATIENT_S = 60.0
"""For answers that come at once unless the machine is busy with other things."""


@pytest.mark.parametrize(
    ("right", "given"),
    [
        ("1/2", "0.5"),
        (r"\frac{1}{2}", "0.5"),
        (r"$\frac{1}{2}$", "1/2"),
        ("1,000", "1000"),
        ("50%", "0.5"),
        ("5", "x = 5"),
        (r"2\sqrt{3}", "2√3"),
        ("145", "145°"),
        ("(1,2)", "(1, 2)"),
        ("x^2+2x+1", "(x+1)^2"),
        ("Paris", " Paris "),
    ],
)
def test_the_same_value_in_other_words_is_equal(right, given):
    assert is_equal(right, given, PATIENT_S)


@pytest.mark.parametrize(
    ("right", "given"),
    [
        ("5", "-5"),
        ("5", ""),
        ("", "5"),
        ("A", "B"),
        ("Paris", "pairs"),
        ("yes", "no"),
        ("5", "5 6"),
    ],
)
def test_another_value_is_not(right, given):
    assert not is_equal(right, given, PATIENT_S)


def test_words_are_never_read_as_products_of_their_letters():
    assert marked("pairs") == "pairs"
    assert marked("2√3") == r"$2\sqrt{3}$"
    assert marked(r"\frac12") == r"$\frac12$"
    assert marked("$x$") == "$x$"


@pytest.mark.parametrize(
    "given",
    [
        "9^{9^{9^{9}}}",
        r"\sum_{n=1}^{\infty} \frac{1}{n^{1.0001}}",
        "(" * 600,
        r"\frac{" * 300,
        "(x+1)^{5000}",
        "9" * 1990,
        "$" * 1990,
        "\ud800\x00",
        "0.1" + "e9" * 900,
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_what_never_ends_is_given_up_in_time_and_the_next_case_is_judged(given):
    is_equal("1/2", "0.5", PATIENT_S)  # the child is there
    started = time.monotonic()
    score = RULES["math"].score(Case(given, ("3", "4", "1/7")))
    assert time.monotonic() - started < PATIENT_S / 2, "it has two seconds"
    assert score == 0
    assert is_equal("1/2", "0.5", PATIENT_S)


def test_a_child_that_does_not_answer_is_killed_and_replaced():
    judge = Judge(soft_limit_s=60.0)
    try:
        assert judge.is_equal("1/2", "0.5", PATIENT_S)
        assert not judge.is_equal("3", "$9^{9^{9^{9}}}$", 0.3)
        assert judge.is_equal("1/2", "0.5", PATIENT_S)
    finally:
        judge.close()


def test_any_thread_may_ask():
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.append(is_equal("1/4", "0.25", PATIENT_S)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [True] * 4


def test_a_child_gives_up_by_itself_long_before_it_is_killed():
    judge = Judge(soft_limit_s=0.2)
    try:
        assert judge.is_equal("1/2", "0.5", PATIENT_S)
        child = judge._process
        assert not judge.is_equal("3", "$9^{9^{9^{9}}}$", PATIENT_S)
        assert judge._process is child, "it was not replaced"
    finally:
        judge.close()


def test_the_reward_judges_all_rows_but_boxes_and_keeps_the_gate(monkeypatch):
    monkeypatch.setattr(maths, "HARD_LIMIT_S", PATIENT_S)
    completions = [
        "<think>x</think><answer>0.5</answer>",
        "0.5",
        "<think>x</think><answer>[{'Position': [1,2,3,4], 'Confidence': 1}]</answer>",
    ]
    kinds = ["number", "number", "boxes"]
    answers = ["1/2", "1/2", "[[1, 2, 3, 4]]"]
    assert math_reward(completions, answers, kinds) == [1, 0, None]


def test_without_math_verify_all_say_what_to_install(monkeypatch):
    from trainer.recipe import Recipe, RecipeError

    monkeypatch.setattr(maths, "find_spec", lambda name: None)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    install = r"pip install 'modomodo\[math\]'"
    with pytest.raises(maths.MathVerifyMissing, match=install):
        RULES["math"].check_installed()
    with pytest.raises(maths.MathVerifyMissing, match=install):
        Judge().is_equal("1/2", "0.5", 1.0)
    with pytest.raises(RecipeError, match=install):
        Recipe.parse({"reward_weights": {"math": 1.0}})
    with pytest.raises(CommandFailed, match=install):
        extras.need("math")
