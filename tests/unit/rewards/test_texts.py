"""Words and numbers in text, whichever of Unicode's signs they are written with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.cases import Case
from rewards.numbers import last_in
from rewards.plain import folded, plain
from rewards.rules import RULES


def is_right(rule: str, response: str, answer: str, **extra: object) -> bool:
    return RULES[rule].score(Case(response, answer, extra)) == 1


@pytest.mark.parametrize(
    "said",
    [
        *(
            "yes。",
            "ｙｅｓ！",
            "「yes」",
            "『yes』",
            "“yes”",
            "‘Yes’",
            "«yes»",
            "（yes）",
            "《yes》",
        ),
        *("¿yes?", "yes…", "yes——", "— yes", "\u200byes\ufeff", "**yes**", "`yes`", " \u3000yes、"),
    ],
)
def test_punctuation_of_any_script_goes_from_the_ends(said):
    assert is_right("sat-text", said, "yes")
    assert is_right("sat-text", "yes", said)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("don’t", "don't"),
        ("well‑known", "well-known"),
        ("cafe\u0301", "café"),
        ("ＡＢＣ", "abc"),
        ("ﬁnd", "find"),
        ("STRASSE", "straße"),
        ("–5", "-5"),
        ("－５", "-5"),
        ("new\u00a0york", "New York"),
    ],
)
def test_the_same_words_in_other_signs_are_the_same(one, other):
    assert is_right("sat-text", one, other)
    assert is_right("sat-text", other, one)
    assert RULES["anls-strict"].score(Case(plain(one).casefold(), plain(other).casefold())) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-5", "5"),
        ("—5", "5"),
        (".5", "5"),
        ("50%", "50"),
        ("5²", "52"),
        ("C#", "C"),
        ("A-", "A"),
        ("café", "cafe"),
        ("５", "6"),
    ],
)
def test_signs_that_mean_something_stay(one, other):
    assert not is_right("sat-text", one, other)
    assert not is_right("sat-text", other, one)


def test_a_letter_is_the_same_however_it_is_composed_even_to_the_letter():
    assert is_right("exact", "cafe\u0301", "café")
    assert not is_right("exact", "yes.", "yes")


@given(text=st.text())
def test_one_spelling_is_spelt_the_same_again(text):
    assert plain(plain(text)) == plain(text)
    assert folded(text) == folded(plain(text))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234.5", 1234.5),
        ("1.234,5", 1234.5),
        ("about €1.234,56 a year", 1234.56),
        ("−5", -5),
        ("it is −$1,234.50.", -1234.5),
        ("$-5", -5),
        ("x = - 5", -5),
        ("between 3-5", 5),
        ("10 - 20", 20),
        ("from -3 to -5", -5),
        ("25 cm^2", 25),
        ("25 cm2", 25),
        ("3/4", 0.75),
        ("(3,4)", 4),
        ("1,2,3", 3),
        ("１２３", 123),
        ("The answer is 1,000.", 1000),
        ("1.5e3", 1500),
    ],
)
def test_the_last_number_of_a_text_is_a_whole_one(text, number):
    found = last_in(text)
    assert found is not None
    assert float(found) == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "none", "at 11:45", "on 12/25/2020", "m^2", "H2O", "1.2.3"])
def test_times_dates_and_parts_of_words_are_no_numbers(text):
    assert last_in(text) is None


@pytest.mark.parametrize(
    ("response", "answer", "score"),
    [("1,234.5", "1234.5", 1), ("1,234.5", "0.5", 0), ("−2.5 m", "-2.5", 1), ("−2.5", "2.5", 0)],
)
def test_mathvistas_numbers_have_groups_decimals_and_a_sign(response, answer, score):
    extra = {"question_type": "free_form", "answer_type": "float", "precision": 1}
    assert is_right("mathvista", response, answer, **extra) == score
