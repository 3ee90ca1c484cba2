"""How alike domains are said to be: what is taken, what is refused, what becomes of it."""

import pytest

from service.notation import alike

DOMAINS = ("coco", "lisa", "sat")


def test_a_pair_is_found_whichever_of_the_two_it_stands_under():
    given = {"sat": {"coco": 0.4}, "coco": {"lisa": 0.9, "coco": 1.0}}
    assert alike.pairs(given, DOMAINS) == {("coco", "lisa"): 0.9, ("coco", "sat"): 0.4}
    assert alike.nested(alike.pairs(given, DOMAINS)) == {"coco": {"lisa": 0.9, "sat": 0.4}}


def test_a_whole_symmetric_matrix_says_each_pair_twice_alike():
    given = {"coco": {"lisa": 0.9}, "lisa": {"coco": 0.9}}
    assert alike.pairs(given, DOMAINS) == {("coco", "lisa"): 0.9}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"coco": {"geo": 0.5}}, r"unknown domain 'geo' \(known: coco, lisa, sat\)"),
        ({"geo": {"coco": 0.5}}, "unknown domain 'geo'"),
        ({"coco": {"lisa": 1.5}}, "'coco' and 'lisa' is 1.5; give a number from 0"),
        ({"coco": {"lisa": -0.1}}, "give a number from 0"),
        ({"coco": {"lisa": float("nan")}}, "give a number from 0"),
        ({"coco": {"coco": 0.5}}, "'coco' and itself is 0.5; it is 1"),
        ({"coco": {"lisa": 0.5}, "lisa": {"coco": 0.4}}, "said twice, as 0.5 and 0.4"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_be_right(given, said):
    with pytest.raises(ValueError, match=said):
        alike.pairs(given, DOMAINS)


def test_more_domains_than_are_compared_are_refused():
    names = [f"d{i}" for i in range(alike.MOST + 1)]
    assert alike.pairs({}, names) == {}
    with pytest.raises(ValueError, match="at most 40 domains, and there are 41"):
        alike.pairs({"d0": {"d1": 0.5}}, names)


def test_parts_of_a_domain_are_like_others_as_it_was_and_nothing_is_said_of_each_other():
    before = {("coco", "lisa"): 0.9, ("lisa", "sat"): 0.2}
    after = alike.spread(before, {"coco": {"indoor": 0.6, "outdoor": 0.4}})
    assert after == {("indoor", "lisa"): 0.9, ("outdoor", "lisa"): 0.9, ("lisa", "sat"): 0.2}


def test_what_becomes_one_domain_is_as_like_others_as_they_were_on_average():
    before = {("coco", "lisa"): 0.9, ("coco", "sat"): 0.2, ("lisa", "sat"): 0.6}
    after = alike.spread(before, {"coco": {"street": 1.0}, "lisa": {"street": 1.0}})
    assert after == {("street", "sat"): pytest.approx(0.4)}


def test_pairs_are_read_from_yaml_with_or_without_the_key_of_a_study():
    wanted = {"coco": {"lisa": 0.5, "sat": 1.0}}
    assert alike.read("coco: {lisa: 0.5, sat: 1}") == wanted
    assert alike.read("similarity:\n  coco: {lisa: 0.5, sat: 1}") == wanted
    assert alike.read("") == {}


@pytest.mark.parametrize(
    "text", ["0.5", "[coco]", "coco: 0.5", "coco: {lisa: much}", "coco: {a: yes}"]
)
def test_what_is_no_pairs_is_refused(text):
    with pytest.raises(ValueError, match="pairs of domains with a number from 0 to 1"):
        alike.read(text)


def test_what_is_no_yaml_is_refused_in_words():
    with pytest.raises(ValueError, match="not YAML"):
        alike.read("coco: {lisa")
