"""Options in the forms that datasets give them, and which one an answer names."""

import json

import pytest

from trainer.domains import options
from trainer.domains.errors import Dropped
from trainer.domains.options import Options

TWO = ("x", "y")


@pytest.mark.parametrize(
    "given",
    [
        ["x", "y"],
        ["x", "y", None, float("nan")],
        {"text": ["x", "y"], "label": ["A", "B"]},
        {"text": ["x", "y", None], "label": ["A", "B", "C"]},
        {"texts": ["x", "y"]},
        {"A": "x", "B": "y"},
        {"B": "y", "A": "x", "C": None},
        {"2": "y", "10": None, "1": "x"},
        {"a": "x", "b": "y"},
        [{"label": "A", "text": "x"}, {"label": "B", "text": "y"}],
        [{"key": "A", "value": "x"}, {"key": "B", "value": "y"}],
        [{"A": "x"}, {"B": "y"}],
        [{"text": "x"}, {"text": "y"}],
    ],
)
def test_the_words_of_options_are_their_texts(given):
    assert options.read(given).texts == TWO
    assert options.read(given).letter_of("y") == "B"
    if not any(value != value for value in given):
        assert options.read(json.dumps(given)) == options.read(given)


@pytest.mark.parametrize("given", [None, float("nan"), [], {}, "", " ", "null", "[]", {"A": None}])
def test_no_options_are_none(given):
    assert options.read(given) == Options()


@pytest.mark.parametrize(
    "given",
    [
        "x|y",
        "5",
        5,
        True,
        [["x"], ["y"]],
        ["x", {"text": "y"}],
        {"text": "x", "label": "A"},
        {"text": ["x", "y"], "label": ["A"]},
        {"text": ["x"], "texts": ["y"]},
        {"foo": ["x"], "bar": ["y"]},
        {"A": {"text": "x"}, "B": "y"},
        {"A": "x", "(A)": "y"},
        [{"text": "x", "weight": 1}],
    ],
)
def test_what_is_no_list_of_options_is_a_wrong_row(given):
    with pytest.raises(Dropped, match="malformed row"):
        options.read(given)


def test_numbers_are_options_too():
    assert options.read([1, 2.0, 2.5]).texts == ("1", "2", "2.5")


@pytest.mark.parametrize(
    ("given", "answer", "letter"),
    [
        ({"text": ["2", "1"], "label": ["1", "2"]}, "1", "A"),
        ({"text": ["2", "1"], "label": ["1", "2"]}, "B", "B"),
        ({"A": "B", "B": "A"}, "A", "A"),
        ({"a": "x", "b": "y"}, "B", "B"),
        ({"a": "x", "b": "y"}, "(b)", "B"),
        ({"F": "x", "G": "y"}, "G", "B"),
        ({"A": "x", "C": "y"}, "C", "B"),
        (["x", "y"], "(B)", "B"),
        (["B", "A"], "A", "B"),
        (["x", "y"], "z", "z"),
        (["x", "y"], "", ""),
        (["x", "x"], "B", "B"),
    ],
)
def test_an_answer_names_an_option_by_label_text_or_letter(given, answer, letter):
    assert options.read(given).letter_of(answer) == letter


@pytest.mark.parametrize(
    ("given", "answer"), [(["x", "x"], "x"), ({"A": "x", "C": "z"}, "B"), ({"F": "x"}, "A")]
)
def test_an_answer_that_names_no_one_option_is_a_wrong_row(given, answer):
    with pytest.raises(Dropped):
        options.read(given).letter_of(answer)


def test_columns_may_be_empty_at_the_end_only():
    assert options.of_columns(["x", "y", "", ""], "ABCD") == Options(TWO, ("A", "B"))
    assert options.of_columns(["", ""], ()) == Options()
    assert options.of_columns(["x", "", "y"], ()).texts == ("x", "", "y")
    assert options.of_columns(["B", "A"], ["A", "B"]).letter_of("A") == "A"
