"""Equality by math-verify: what is equal, and that nothing makes a caller wait."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from modomodo import extras
from modomodo.errors import CommandFailed
from rewards import math_judge
from rewards.cases import Case
from rewards.math_judge import Judge
from rewards.maths import score
from rewards.rules import RULES
from rewards.training import math_reward


def is_equal(right: str, given: str) -> bool:
    return score(Case(given, right)) == 1


MOST_S = 2.0
"""On a machine that does nothing else; tests allow several times as long."""


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
    assert is_equal(right, given)


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
    assert not is_equal(right, given)


@pytest.mark.parametrize(
    "given",
    [
        "9^{9^{9^{9}}}",
        r"\sum_{n=1}^{\infty} \frac{1}{n^{1.0001}}",
        "(" * 600,
        r"\frac{" * 300,
        pytest.param("(x+1)^{5000}", marks=pytest.mark.slow),
        "9" * 1990,
        "$" * 1990,
        "\ud800\x00",
        pytest.param("0.1" + "e9" * 900, marks=pytest.mark.slow),
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_what_never_ends_is_given_up_in_time_and_the_next_case_is_judged(given):
    assert is_equal("x+1", "1+x")  # the child is there
    started = time.monotonic()
    found = RULES["math"].score(Case(given, ("3", "4", "1/7")))
    assert time.monotonic() - started < 15 * MOST_S, (
        "limits are processor time, this is the clock's"
    )
    assert found == 0
    assert is_equal("x+1", "1+x")


FAKE = """
import signal, sys
print("ready", flush=True)
for line in sys.stdin:
    if "hang" in line:
        signal.pause()
    if "die" in line:
        sys.exit(3)
    if "silence" in line:
        print("? 0.9", flush=True)
    else:
        print("read", flush=True)
        print("1 0.9" if "right" in line else "? 0.9" if "slow" in line else "0 0.9", flush=True)
"""


@pytest.fixture
def fake():
    """A judge whose child says of each formula what its words say, and does it at once."""
    judge = Judge(hang_s=0.2, worker=[sys.executable, "-S", "-c", FAKE])
    yield judge
    judge.close()


def test_a_child_that_dies_or_hangs_is_replaced_and_the_next_comparison_judged(fake):
    for fault in ("die", "hang"):
        with fake.comparisons() as comparisons:
            assert not comparisons.is_equal("x", fault)
            assert comparisons.unjudged == 1
            assert "the judging process" in comparisons.reason
            assert comparisons.is_equal("right", "x"), "its own fault costs the case no time"


def test_a_case_that_brings_down_child_after_child_comes_to_an_end(fake):
    with fake.comparisons() as comparisons:
        for answer in ("a", "b", "c", "d"):
            assert not comparisons.is_equal(answer, f"die {answer}")
        assert comparisons.unjudged == 4
        started = fake._process
        assert not comparisons.is_equal("right", "x"), "it had its chances"
        assert fake._process is started, "no further one is asked"


def test_an_accepted_answer_without_a_verdict_takes_nothing_from_the_next_one(fake):
    with fake.comparisons() as comparisons:
        assert not comparisons.is_equal("slow", "x")
        assert comparisons.is_equal("right", "x")
        assert not comparisons.is_equal("right", "y"), "now the time of the case is used up"
    assert (comparisons.asked, comparisons.unjudged) == (3, 2)
    with fake.comparisons() as comparisons:
        assert comparisons.is_equal("right", "x"), "each case has its own"


def test_a_response_that_cannot_be_read_is_read_once(fake):
    with fake.comparisons() as comparisons:
        assert not comparisons.is_equal("x", "silence")
        left = comparisons.left_s
        assert not comparisons.is_equal("right", "silence")
        assert comparisons.left_s == left


def test_a_judge_that_cannot_start_is_an_error_and_no_score():
    judge = Judge(worker=[sys.executable, "-S", "-c", "raise SystemExit(4)"])
    with pytest.raises(math_judge.JudgeBroken, match=r"cannot judge formulas.* -c raise"):
        score(Case("x+1", "1+x"), judge)
    assert score(Case("0.5", "1/2"), judge) == 1, "numbers need no judge"


def test_no_verdict_is_said_in_the_log(fake, logged):
    assert score(Case("x+2", "y+1"), fake) == 0
    assert not logged.getvalue(), "a verdict is nothing to warn of"
    slow = Judge(worker=[sys.executable, "-S", "-c", FAKE.replace("slow", "x")])
    try:
        assert score(Case("x+1", ("y+1", "y+2")), slow) == 0
    finally:
        slow.close()
    assert "no verdict on 2 of 2 comparisons of response 'x+1'" in logged.getvalue()


def test_every_accepted_answer_counts_in_a_process_first_case_and_after_a_kill():
    judge = Judge()
    case = Case("x/2", ("3x", "0.5x"))
    try:
        assert score(case, judge) == 1
        score(Case("9^{9^{9^{9}}}", "x"), judge)
        assert score(case, judge) == 1
    finally:
        judge.close()


def test_any_thread_may_ask():
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.append(is_equal("x/4", "0.25x"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [True] * 4


def test_the_reward_judges_all_rows_but_boxes_and_keeps_the_gate():
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

    monkeypatch.setattr(math_judge, "find_spec", lambda name: None)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    install = r"pip install 'modomodo\[math\]'"
    with pytest.raises(math_judge.MathVerifyMissing, match=install):
        RULES["math"].check_installed()
    with pytest.raises(math_judge.MathVerifyMissing, match=install):
        score(Case("x+1", "1+x"), Judge())
    with pytest.raises(RecipeError, match=install):
        Recipe.parse({"reward_weights": {"math": 1.0}})
    with pytest.raises(CommandFailed, match=install):
        extras.need("math")
