"""What bench.living makes of its searches."""

import numpy as np
import pytest

from bench import living


def figures(regret, is_one=()):
    return {
        "regret": {str(n): value for n, value in enumerate(regret, 1)},
        "trust": {str(living.CAP): 0.5},
        "is_one": {str(n): 1.0 for n in is_one} | {"1": 0.0},
    }


def test_a_search_is_there_once_its_choice_is_good_and_stays_so():
    assert living.needed(figures([0.3, 0.01, 0.2, 0.04, 0.0])) == 4
    assert living.needed(figures([0.01])) == 1
    assert living.needed(figures([0.01, 0.2])) == np.inf


def test_two_domains_are_one_from_when_it_is_first_said():
    assert living.until_one(figures([0.1], is_one=(8, 4))) == 4
    assert living.until_one(figures([0.1])) == np.inf


@pytest.mark.parametrize("kind", living.ARMS)
def test_whoever_starts_over_searches_what_the_others_do(kind):
    """The same mixtures score the same, whether the domain that is gone is in the list or not."""
    of = living.story("quadratic-5", kind)
    X = of.anew.sample(20, np.random.default_rng(0))
    new, other = of.said
    if kind == living.COMES:
        whole = X
        assert of.before.upper[new] == 0
    else:
        whole = np.hstack([X, np.zeros((20, 1))])
        whole[:, [other, new]] = whole[:, [new, other]]
        assert of.after.upper[other] == (0 if kind == living.REPLACED else 1)
    assert of.after.contains(whole).all()
    assert np.allclose(of.score(whole), of.score_anew(X))
    assert of.score_anew(X).max() <= of.best + 1e-6


def test_the_report_says_where_the_aim_was_missed():
    good = [0.0] * living.EARLY
    regrets = {living.KEPT: [0.3, 0.3, *good], living.ANEW: [0.3, 0.3, 0.3, *good]}
    found = {
        f"{place}/{kind}/{how}/{seed}": figures(regrets.get(how, good), is_one=(4,))
        for place in living.TRUTHS
        for kind, arms in living.ARMS.items()
        for how in arms
        for seed in range(3)
    }
    said = living.report(found, 3)
    assert "- ridge-5: MISSED: 3 runs for 4, 0.75 of them." in said
    assert "- ridge-5: 1 run for 4, 0.25 of them. Not told, 3." in said
    assert "3 of 3" in said


def test_where_neither_gets_there_none_is_said_to_have_won():
    never = [0.3] * living.CAP
    found = {
        f"{place}/{kind}/{how}/0": figures(never)
        for place in living.TRUTHS
        for kind, arms in living.ARMS.items()
        for how in arms
    }
    said = living.report(found, 1)
    assert "- ridge-5: neither gets there." in said
    assert "never runs" not in said
