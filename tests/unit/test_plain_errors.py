"""What is wrong with a value, in words for people."""

import pytest
from pydantic import ValidationError

from service.plain_errors import listed, located, plain
from service.schemas import StudySpec
from tests.support.bodies import study_body


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "no spaces"}, "'no spaces' is no name: letters, digits and . _ -"),
        ({"budget": "many"}, "'many' is not a whole number"),
        ({"budget": 0}, "0 is less than 1"),
        ({"budget": 1.5}, "1.5 is not a whole number"),
        ({"domains": 3}, "3 is not a list"),
        ({"domains": ["coco"]}, "'coco' is not a mapping of keys to values"),
        ({"domains": [{}]}, "is missing"),
        ({"domains": [{"name": "a", "upper": 1.5}]}, "1.5 is more than 1"),
        ({"lease_s": float("inf")}, "not a finite number"),
        ({"note": 3}, "3 is not text"),
        ({"note": "\ud800"}, "holds a character that does not exist"),
        ({"spam": 3}, "is not a known key"),
        (
            {"domains": [{"name": "a", "lower": 0.5000001, "upper": 0.5}]},
            "lower weight 0.5000001 is above upper weight 0.5 ",
        ),
        (
            {"constraints": [{"benchmark": "chart", "at_least": 1.0000001}]},
            "at_least: 1.0000001 is not a number from 0 to 1",
        ),
        (
            {"search": {"schedule": {"shares": [0.5, 0.500002]}}},
            "shares of the phases sum to 1.000002, not 1",
        ),
        ({"objective": {"name": "out_score", "direction": "up"}}, "is not one of 'maximize'"),
    ],
)
def test_mistakes_in_a_study_are_said_without_pydantic_and_patterns(changes, words):
    with pytest.raises(ValidationError) as raised:
        StudySpec.model_validate(study_body(**changes))
    said = plain(raised.value.errors()[0])
    assert words in said
    assert "nput should" not in said
    assert "^[" not in said


def test_a_long_or_secret_value_is_not_repeated():
    with pytest.raises(ValidationError) as raised:
        StudySpec.model_validate(study_body(budget="x" * 500))
    assert len(plain(raised.value.errors()[0])) < 100
    assert plain(raised.value.errors()[0], repeats=False) == "it is not a whole number"


def test_faults_are_told_with_their_places_and_the_rest_is_counted():
    with pytest.raises(ValidationError) as raised:
        StudySpec.model_validate(study_body(budget=0, domains=[{}, {"name": 3}]))
    told = [located(found) for found in raised.value.errors()]
    assert told == ["domains.0.name: is missing", "domains.1.name: 3 is not text", told[2]]
    assert told[2] == "budget: 0 is less than 1"
    assert listed(told[:2]) == "domains.0.name: is missing; domains.1.name: 3 is not text"
    assert listed([f"fault {i}" for i in range(9)]).endswith("fault 4; and 4 more")


def test_a_fault_of_the_whole_is_called_what_the_reader_knows_it_as():
    with pytest.raises(ValidationError) as raised:
        StudySpec.model_validate(3)
    (found,) = raised.value.errors()
    assert located(found, "the file") == "the file: 3 is not a mapping of keys to values"
    assert located(found) == "3 is not a mapping of keys to values"
    with pytest.raises(ValidationError) as raised:
        StudySpec.model_validate_json("{")
    assert located(raised.value.errors()[0], "it").startswith("it is not JSON: EOF")
