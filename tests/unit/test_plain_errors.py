"""What is wrong with a value, in words for people."""

import pytest
from pydantic import ValidationError

from service.plain_errors import plain
from service.schemas import StudySpec
from tests.bodies import study_body


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
        ({"spam": 3}, "is not a known key"),
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
