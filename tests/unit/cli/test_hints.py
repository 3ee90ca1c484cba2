"""What the service refuses, in the words of the command line."""

import pytest

from db.errors import StudyNotFound
from modomodo import hints
from service.client import ServiceError
from service.errors import Refused
from service.http.problems import HINTS


def said(code, detail="what was wrong", faults=()):
    return hints.in_words(ServiceError(400, code, detail, faults=faults))


@pytest.mark.parametrize("code", HINTS)
def test_each_hint_of_http_has_one_of_the_command_line(code):
    assert code in hints.HINTS
    for word in ("GET", "POST", "PATCH", "body", "Bearer"):
        assert word not in said(code)


def test_a_key_is_asked_for_where_a_person_would_set_it():
    assert "set MODOMODO_API_KEY to a valid one" in said("key-required")
    assert "scope" in said("scope-needed", "this call needs a key of scope 'admin'")


def test_what_is_wrong_stands_without_its_place_in_an_http_call():
    one = [("body.mixture", "weights sum to 0.9, not 1")]
    assert said("invalid-request", faults=one) == "mixture: weights sum to 0.9, not 1"
    whole = [("body", "is not a mapping")]
    assert said("invalid-request", faults=whole) == "is not a mapping"
    assert said("invalid-request", "body.note: is too long") == "note: is too long"
    assert said("invalid-request", "body count is wrong") == "body count is wrong"


def test_several_faults_are_told_and_the_rest_is_counted():
    many = [(f"body.measurements.{i}.score", "is missing") for i in range(7)]
    told = said("invalid-request", "measurements.0: is missing (and 6 more, see errors)", many)
    assert told.startswith("measurements.0.score: is missing; measurements.1.score: is missing; ")
    assert told.endswith("; and 2 more")
    assert "see errors" not in told


def test_what_needs_no_hint_stands_as_it_is():
    assert said("wrong-state", "trial 3 of study 'vlm' is completed") == (
        "trial 3 of study 'vlm' is completed"
    )
    assert not str(StudyNotFound("no study 'x'")).count("GET")
    assert Refused("x", "no study").detail == "no study"
