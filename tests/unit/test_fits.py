"""What is fitted for the pages is fitted once, whatever is asked of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partialmethod

import numpy as np
import pytest

from service.fitting import questions
from service.search.diagnostics import diagnose
from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.search.surrogates import SIDE_BY_SIDE

SPACE = MixtureSpace.simplex("abc")
AT = np.array([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])


@pytest.fixture
def runs():
    rng = np.random.default_rng(5)
    X = SPACE.sample(9, rng)
    y = X @ np.array([0.3, 0.5, 0.4]) + 0.01 * rng.normal(size=9)
    nothing = np.full(9, np.nan)
    return Runs(X, y, np.full(9, 0.01), nothing, nothing)


@pytest.fixture
def fitted(monkeypatch):
    """Names of what is fitted from now on."""
    names = []

    def fit(name, *rest, really=questions.fit):
        names.append(name)
        return really(name, *rest)

    monkeypatch.setattr(questions, "fit", fit)
    monkeypatch.setattr(questions, "_fitted", type(questions._fitted)())
    return names


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_diagnosis_and_predictions_share_one_fit(runs, fitted, direction):
    found = questions.diagnosed("bayes-quadratic", SPACE, runs, direction, None, SPACE)
    mean, sd = questions.predict(
        "bayes-quadratic", SPACE, runs, found.best.weights[None], direction
    )
    assert (mean[0], sd[0]) == pytest.approx((found.best.mean, found.best.sd))
    assert fitted == ["bayes-quadratic"]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_what_is_said_is_the_same_as_of_a_fit_of_its_own(runs, fitted, direction):
    own = diagnose("bayes-quadratic", SPACE, runs, questions.SEED, direction, AT)
    mean, sd = questions.predict("bayes-quadratic", SPACE, runs, AT, direction)
    assert list(mean) == pytest.approx([item.mean for item in own.predictions])
    assert list(sd) == pytest.approx([item.sd for item in own.predictions])
    found = questions.diagnosed("bayes-quadratic", SPACE, runs, direction, None, SPACE)
    assert found.best.mean == pytest.approx(own.best.mean)


def test_a_fit_is_another_one_when_a_channel_has_more_scores(runs, fitted):
    few, more = (replace(runs, channels={"step-5": runs.subset(np.arange(9) < n)}) for n in (4, 6))
    first, second = (
        questions.predict("bayes-quadratic", SPACE, known, AT, "maximize") for known in (few, more)
    )
    assert list(first[1]) != list(second[1])
    questions.predict("bayes-quadratic", SPACE, few, AT, "maximize")
    assert fitted == ["bayes-quadratic"] * 2


def test_the_verdict_speaks_of_scores_as_they_are_in_both_directions(runs, fitted):
    for direction in ("maximize", "minimize"):
        questions.diagnosed("bayes-quadratic", SPACE, runs, direction, None, SPACE)
        believed = questions.verdict(
            SPACE, runs, AT, direction, among=["bayes-quadratic"]
        ).posterior
        mean, sd = questions.predict("bayes-quadratic", SPACE, runs, AT, direction)
        assert list(believed.mean) == pytest.approx(list(mean))
        assert list(believed.sd) == pytest.approx(list(sd))
    assert fitted == ["bayes-quadratic"] * 2


@pytest.fixture
def one_kind_of_gp(monkeypatch):
    """A Gaussian process of one kind, in a few iterations."""
    from service.search.surrogates.gp import KINDS, GaussianProcess

    quick = partialmethod(GaussianProcess.__init__, KINDS[:1], iterations=4)
    monkeypatch.setattr(GaussianProcess, "__init__", quick)


def test_auto_averages_the_fits_that_were_made_and_makes_none_again(runs, fitted, one_kind_of_gp):
    runs = runs.subset([*range(9), 0, 1])  # two mixtures were run twice
    own = diagnose("auto", SPACE, runs, questions.SEED, "maximize", AT)
    for name in SIDE_BY_SIDE:
        questions.diagnosed(name, SPACE, runs, "maximize", None, SPACE)
    made = list(fitted)
    assert sorted(set(made)) == sorted(SIDE_BY_SIDE)
    found = questions.diagnosed("auto", SPACE, runs, "maximize", AT, SPACE)
    questions.verdict(SPACE, runs, AT, "maximize")
    questions.predict("auto", SPACE, runs, AT, "maximize")
    assert fitted == made
    assert len(found.confirmations) == 2
    for mine, theirs in zip(found.confirmations, own.confirmations, strict=True):
        assert mine.predicted == pytest.approx(theirs.predicted)
    assert found.best.mean == pytest.approx(own.best.mean)


def test_auto_before_them_leaves_them_their_fits(runs, fitted, one_kind_of_gp):
    questions.diagnosed("auto", SPACE, runs, "maximize", None, SPACE)
    for name in SIDE_BY_SIDE:
        questions.diagnosed(name, SPACE, runs, "maximize", None, SPACE)
    assert sorted(fitted) == sorted(SIDE_BY_SIDE)
