"""What is fitted for the pages is fitted once, whatever is asked of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.fitting import questions
from service.search.diagnostics import diagnose
from service.search.runs import Runs
from service.search.space import MixtureSpace

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
    found = questions.diagnosed("bayes-quadratic", SPACE, runs, direction, None)
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
    found = questions.diagnosed("bayes-quadratic", SPACE, runs, direction, None)
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
        questions.diagnosed("bayes-quadratic", SPACE, runs, direction, None)
        believed = questions.verdict(
            SPACE, runs, AT, direction, among=["bayes-quadratic"]
        ).posterior
        mean, sd = questions.predict("bayes-quadratic", SPACE, runs, AT, direction)
        assert list(believed.mean) == pytest.approx(list(mean))
        assert list(believed.sd) == pytest.approx(list(sd))
    assert fitted == ["bayes-quadratic"] * 2
