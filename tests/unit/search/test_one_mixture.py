"""Runs that are all of one mixture, or nearly: they tell its score, and nothing of others."""

from __future__ import annotations

import numpy as np
import pytest

from service.search.diagnostics import diagnose
from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.search.strategies import propose
from service.search.surrogates import fit
from service.search.surrogates.standard import centre_and_scale

SPACE = MixtureSpace.simplex(["a", "b", "c"])
MIDDLE = np.array([0.2, 0.3, 0.5])
ELSEWHERE = np.vstack([np.eye(3), [[0.5, 0.5, 0.0], [1 / 3] * 3]])


def near(spread, noise=0.01, n=8):
    """Runs of about the same mixture, scoring about 0.5."""
    rng = np.random.default_rng(1)
    X = MIDDLE + spread * rng.normal(size=(n, 3))
    X[:, 2] = 1 - X[:, 0] - X[:, 1]
    y = 0.5 + noise * rng.normal(size=n)
    unknown = np.full(n, np.nan)
    return Runs(X, y, unknown, unknown, y)


@pytest.mark.parametrize(
    ("name", "spread", "noise"),
    [
        ("bayes-quadratic", 0.0, 0.01),
        ("bayes-quadratic", 0.0, 0.0),
        ("bayes-quadratic", 0.0005, 0.01),
        ("gp", 0.0, 0.01),
        pytest.param("gp", 0.0, 0.0, marks=pytest.mark.slow),
        pytest.param("gp", 0.0005, 0.01, marks=pytest.mark.slow),
    ],
)
def test_predictions_stay_near_the_runs_own_mean(name, spread, noise):
    fitted = fit(name, SPACE, near(spread, noise), seed=0)
    mean, sd = fitted.predict(ELSEWHERE)
    assert mean == pytest.approx(0.5, abs=0.05)
    assert np.all((sd >= 0) & (sd < 0.6))
    mean, sd = fitted.predict(MIDDLE[None])
    assert mean[0] == pytest.approx(0.5, abs=0.01)
    assert sd[0] < 0.02


@pytest.mark.parametrize("spread", [0.002, 0.005, 0.01])
def test_runs_of_nearly_one_mixture_promise_little_of_others(spread):
    mean, sd = fit("bayes-quadratic", SPACE, near(spread), seed=0).predict(ELSEWHERE)
    assert mean == pytest.approx(0.5, abs=0.15)
    assert np.all(sd < 0.5)


@pytest.mark.parametrize("spread", [0.0, 0.0005])
def test_the_papers_surface_takes_no_noise_for_slopes(spread):
    mean, _ = fit("quadsurface", SPACE, near(spread), seed=0).predict(ELSEWHERE)
    assert mean == pytest.approx(0.5, abs=0.25)


def test_a_fit_says_that_all_runs_are_one_mixture():
    found = diagnose("bayes-quadratic", SPACE, near(0.0005), 0, at=ELSEWHERE)
    assert found.messages[0].startswith("All 8 runs are one mixture, within 0.005 of each other")
    assert "twice" not in " ".join(found.messages)
    assert found.best.mean == pytest.approx(0.5, abs=0.05)
    assert "one mixture" not in " ".join(diagnose("bayes-quadratic", SPACE, near(0.1), 0).messages)


def test_a_proposal_says_so_too():
    found = propose("bayes-quadratic", SPACE, near(0.0), np.empty((0, 3)), 2, 0)
    for item in found:
        assert "from 8 runs, all of one mixture: nothing is known of others" in item.reason
        assert item.mean == pytest.approx(0.5, abs=0.05)


def test_scores_that_are_all_the_same_have_a_scale():
    assert centre_and_scale(near(0.1, 0.0)) == pytest.approx((0.5, 0.005))
    same = near(0.1, 0.0)
    known = Runs(same.weights, same.score, np.full(8, 0.02), same.in_score, same.out_score)
    assert centre_and_scale(known) == pytest.approx((0.5, 0.02))
    zero = Runs(same.weights, np.zeros(8), same.noise_sd, same.in_score, same.out_score)
    assert centre_and_scale(zero) == (0.0, 1.0)


def test_runs_that_are_apart_are_fitted_as_ever():
    """What holds of close runs must not touch others: their own spread tells."""
    rng = np.random.default_rng(3)
    X = rng.dirichlet(np.ones(3), size=30)
    y = 0.3 * X[:, 0] + 0.5 * X[:, 1] + 0.4 * X[:, 2]
    unknown = np.full(30, np.nan)
    mean, _ = fit("bayes-quadratic", SPACE, Runs(X, y, unknown, unknown, y), 0).predict(np.eye(3))
    assert mean == pytest.approx([0.3, 0.5, 0.4], abs=0.02)
