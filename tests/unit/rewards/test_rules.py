"""The registry: its names, its laws, and that no text brings a rule down."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards import corpus
from rewards.cases import Case
from rewards.rules import ALIASES, MAX_RESPONSE, RULES, UnknownRuleError, rule_named
from rewards.scoring import rule_for
from rewards.training import PAPER_WEIGHTS, REWARDS
from trainer.catalog import SOURCES

DOCS = Path(__file__).parents[3] / "docs" / "reference"
STRING_RULES = [rule for rule in RULES.values() if rule.needs is None]
MOST_S = {None: 0.05, "math": 2.0}

# A right answer and its perfect response under each rule.
RIGHT = {
    "exact": Case("B", "B"),
    "box-iou": Case("[1, 2, 3, 4]", "[[1, 2, 3, 4]]"),
    "box-greedy": Case("[{'Position': [1, 2, 3, 4], 'Confidence': 1}]", "[[1, 2, 3, 4]]"),
    "chartqa-relaxed": Case("14%", "14%"),
    "infovqa-anls": Case("new york", ("nyc", "New York")),
    "anls-strict": Case("new york", ("nyc", "New York")),
    "mmmu": Case("B", "B", {"options": ["red", "green"]}),
    "mathvista": Case("B", "green", {"question_type": "multi_choice", "choices": ["red", "green"]}),
    "mathvista-extracted": Case("1.20", "1.2", {"answer_type": "float", "precision": 1}),
    "scienceqa-letter": Case("B", "B"),
    "sat-text": Case("To the left.", "to the left"),
    "lisa-giou": Case("[1, 2, 3, 4]", "[[1, 2, 3, 4]]", {"size": [5, 5]}),
    "lisa-ciou": Case("[1, 2, 3, 4]", "[[1, 2, 3, 4]]", {"size": [5, 5]}),
    "math": Case("5", "5"),
    "think-answer-format": Case("<think></think><answer></answer>", ""),
}

EXTRAS = (
    {},
    {"question_type": "multiple-choice", "options": ["red apple", "green pear", ""]},
    {"question_type": "open", "answer": ["1/2", "0.5", ""]},
    {"question_type": "multi_choice", "answer_type": "text", "choices": ["3/11", "8/11"]},
    {"question_type": "free_form", "answer_type": "integer"},
    {"question_type": "free_form", "answer_type": "float", "precision": 2.0},
    {"question_type": "free_form", "answer_type": "float", "precision": float("inf")},
    {"answer_type": "list", "answer": None},
    {"size": [640, 480], "grid": [1000, 1000]},
    {"size": [0, -1], "options": "AB", "choices": 7, "answer": {"a": 1}},
)
ANSWERS = ("A", "", "12", "0%", "nan", "[[0, 0, 10, 10]]", ("yes", "y"), ())

UNITS = (
    *("<think>", "</think>", "<answer>", "</think><answer>", "[", "(", "{'Position': ["),
    *("[1,2,3,4],", "[1,1,2,2", "(1,1),", "'box':[1,1,2,2]", "'box': [[", "{'a':"),
    *("1", "9", "0.", "1,", "1.", "-1", "1e9", "-", "e5", "12,345,", "1.5e5 ", "٣", "nan ", "inf"),
    *(" ", "\n", "\t", "\u3000", "\x00", "\x1b[31m", "\ud800", "\udc00 ", "İ", "ß", "\u202e"),
    *("(A) ", " A ", "A.", "so \n", "is \n", "=1\n", "answer     ", "answer is "),
    *('The answer is "', '". ', "$", "\\frac{", "\\sqrt", "^9", "red apple "),
)


@pytest.mark.parametrize("name", RULES)
def test_a_right_answer_scores_one(name):
    assert RULES[name].score(RIGHT[name]) == 1
    assert RULES[name].of_all([RIGHT[name]] * 2).score == 1


def extras_for(name: str) -> tuple[dict, ...]:
    return {"mmmu": EXTRAS[1:3], "mathvista": EXTRAS[3:8], "lisa-giou": EXTRAS[8:]}.get(name, ({},))


every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)

READS_TAGS = ("exact", "box-iou", "think-answer-format")
"""Rules whose longest texts are read between tags too; the others read tags by the same code."""


def endless(unit: str, shapes: tuple[str, ...]) -> Iterator[str]:
    """The longest texts that are judged at all: a unit over and over, in different places."""
    longest = (unit * (MAX_RESPONSE // len(unit)))[: MAX_RESPONSE - 40]
    yield from (shape.format(longest) for shape in shapes)


BARE, TAGGED = "x{}x", "<think>x</think><answer>{}</answer>"


@every_rule
def test_the_longest_text_of_anything_is_survived(rule):
    # A rule that goes through a text once for each of its characters meets the test's time-out.
    shapes = (BARE, TAGGED) if rule.name in READS_TAGS else (BARE,)
    for unit in UNITS:
        for response in endless(unit, shapes):
            for extra in extras_for(rule.name):
                assert 0 <= rule.score(Case(response, "A", extra)) <= 1, ascii(unit)


@pytest.mark.slow
@every_rule
def test_megabytes_of_anything_are_survived_in_time(rule):
    for unit in UNITS:
        whole = unit * (2_000_000 // len(unit))
        for response in (whole, *endless(unit, (BARE, TAGGED))):
            for extra in extras_for(rule.name):
                case = Case(response, "A", extra)
                # Other work on the machine slows it too: twice the time, in one of five tries.
                most_s = 2 * MOST_S[rule.needs]
                assert any(spent_s(rule, case) <= most_s for _ in range(5)), ascii(unit)


def spent_s(rule, case: Case) -> float:
    """Time that this process alone spends on a score."""
    started = time.process_time()
    assert 0 <= rule.score(case) <= 1
    return time.process_time() - started


nasty = st.lists(st.sampled_from(UNITS) | st.text(max_size=4), max_size=30).map("".join)
responses = st.text() | nasty | nasty.map(lambda text: f"<think>{text}</think><answer>7</answer>")
cases = st.builds(Case, responses, st.sampled_from(ANSWERS) | st.text(), st.sampled_from(EXTRAS))


@pytest.mark.parametrize("rule", STRING_RULES, ids=lambda rule: rule.name)
@given(case=cases)
def test_every_text_scores_between_0_and_1(rule, case):
    assert 0 <= rule.score(case) <= 1
    assert rule.weight(case) >= 0
    assert 0 <= rule.of_all([case, case]).score <= 1


@given(text=st.text(min_size=1).filter(str.strip))
def test_the_answer_itself_is_right_by_every_rule_of_free_text(text):
    for name in ("exact", "infovqa-anls", "anls-strict", "sat-text", "math"):
        assert RULES[name].score(Case(text, text)) == 1


@given(text=nasty)
def test_a_response_longer_than_any_answer_is_worth_nothing(text):
    flood = text + "A" * MAX_RESPONSE
    assert all(rule.score(Case(flood + "A", flood)) == 0 for rule in RULES.values())


def test_an_empty_response_is_part_of_no_answer():
    for name in ("mmmu", "mathvista", "mathvista-extracted", "anls-strict", "scienceqa-letter"):
        for extra in EXTRAS[:6]:
            assert RULES[name].score(Case("", "", {**extra, "answer": "A"})) == 0
            assert RULES[name].score(Case("A", "A", {**extra, "answer": ""})) == 0


def test_padding_buys_score_by_the_published_anls_and_not_by_the_strict_one():
    padded = Case("wrong" + " " * 60, "paris")
    assert RULES["infovqa-anls"].score(padded) > 0.9
    assert RULES["anls-strict"].score(padded) == 0
    assert not RULES["infovqa-anls"].is_reward
    assert RULES["anls-strict"].is_reward


@pytest.mark.parametrize(
    ("response", "answer", "kind", "score"),
    [
        ("The answer is 1,000.", "1000", "integer", 1),
        ("It is 3 then 4", "4", "integer", 1),
        ("about 0.125 m", "0.12", "float", 1),
        ("so [1, 2]", "[1, 2]", "list", 1),
        ("none", "4", "integer", 0),
    ],
)
def test_patterns_stand_in_for_mathvistas_language_model(response, answer, kind, score):
    extra = {"question_type": "free_form", "answer_type": kind, "precision": 2}
    assert RULES["mathvista"].score(Case(response, answer, extra)) == score


@pytest.mark.parametrize(
    "said", ["B", "B.", "(b)", "The answer is B", "Option B: green", "A green one: answer B"]
)
def test_mathvistas_options_are_named_by_letter_or_text(said):
    extra = {"question_type": "multi_choice", "choices": ["red", "green"]}
    assert RULES["mathvista"].score(Case(said, "green", extra)) == 1


def test_every_rule_that_a_dataset_names_is_there():
    named = {rule for source in SOURCES.values() for rule in (source.rule, *source.official)}
    assert named <= RULES.keys()
    table = (DOCS / "data.md").read_text().split("## What is known by name")[1].split("\n\n")[1]
    written = {
        rule
        for row in table.splitlines()
        for column in row.split("|")[-3:-1]
        for rule in re.findall("`([^`]+)`", column)
    }
    assert named == written


def test_the_page_of_rules_names_each_of_them():
    page = (DOCS / "rules.md").read_text()
    assert set(re.findall(r"^\| `([a-z-]+)`", page, re.MULTILINE)) == {*RULES, *REWARDS}


def test_an_unknown_rule_is_refused_with_the_nearest_one():
    with pytest.raises(UnknownRuleError, match="no rule 'chartqa'; did you mean 'chartqa-relaxed'"):
        rule_named("chartqa")
    assert rule_named("anls") is RULES[ALIASES["anls"]]


def test_a_dataset_with_boxes_among_its_answers_judges_each_kind_by_a_rule_of_its_own():
    assert rule_for("boxes", "exact").name == "box-iou"
    assert rule_for("text", "box-greedy").name == "exact"
    assert rule_for("text", "sat-text").name == "sat-text"


def test_rules_and_rewards_say_what_they_are():
    assert all(rule.does.endswith(".") and rule.source for rule in RULES.values())
    assert PAPER_WEIGHTS.keys() <= REWARDS.keys()


def test_the_error_of_a_weighted_mean_is_that_of_many_draws():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        weights = rng.gamma(2.0, size=200)
        scores = rng.beta(weights + 0.5, 2.0)
        found.append(corpus.mean(list(scores), list(weights)))
    means = [estimate.score for estimate in found]
    claimed = sum(estimate.se for estimate in found) / len(found)
    assert np.std(means) == pytest.approx(claimed, rel=0.12)


def test_there_is_no_mean_of_nothing():
    with pytest.raises(ValueError, match="no scores"):
        corpus.mean([])
