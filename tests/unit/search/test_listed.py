"""Spaces that are a list of mixtures."""

import numpy as np
import pytest

from service.search.limits import LinearLimit
from service.search.listed import ListedSpace
from service.search.runs import Runs
from service.search.strategies import STRATEGIES, propose, recommend

DOMAINS = ("a", "b", "c")
ROWS = np.random.default_rng(0).dirichlet(np.ones(3), size=40)
SPACE = ListedSpace(DOMAINS, np.zeros(3), np.ones(3), rows=ROWS)
NOTHING = np.empty((0, 3))


def truth(X):
    return np.sqrt(X) @ np.array([0.2, 0.5, 0.4])


def runs_of(X):
    noise = np.full(len(X), 0.002)
    y = truth(X) + 0.002 * np.random.default_rng(1).normal(size=len(X))
    return Runs(X, y, noise, y, y)


@pytest.mark.usefixtures("short_fits")
@pytest.mark.parametrize(
    "strategy",
    [pytest.param(s, marks=[pytest.mark.slow] if s == "ax" else []) for s in STRATEGIES],
)
@pytest.mark.parametrize("n_runs", [0, 12])
def test_every_strategy_proposes_from_the_list(strategy, n_runs):
    runs = runs_of(ROWS[:n_runs]) if n_runs else Runs.none(3)
    for item in propose(strategy, SPACE, runs, NOTHING, 3, seed=0, budget=30):
        assert SPACE.contains(item.weights, 0.0)


@pytest.mark.usefixtures("short_fits")
@pytest.mark.parametrize("strategy", ["bayes-quadratic", "gp", "auto"])
def test_the_best_of_the_list_is_recommended(strategy):
    runs = runs_of(ROWS[:20])
    found = recommend(strategy, SPACE, runs, seed=0)
    assert SPACE.contains(found.weights, 0.0)
    assert truth(found.weights[None])[0] > truth(ROWS).max() - 0.01


def test_samples_are_every_row_once_before_any_comes_again():
    X = SPACE.sample(60, np.random.default_rng(3))
    assert len(np.unique(X[:40], axis=0)) == 40
    assert len(np.unique(X[40:], axis=0)) == 20


def test_projection_is_the_nearest_row():
    y = np.array([0.3, 0.3, 0.4])
    nearest = ROWS[np.argmin(np.abs(ROWS - y).sum(axis=1))]
    assert np.array_equal(SPACE.project(y), nearest)
    assert np.array_equal(SPACE.project([y, ROWS[3]]), [nearest, ROWS[3]])


def test_rows_outside_the_limits_are_left_out_and_a_list_without_any_is_refused():
    limit = LinearLimit.parse("a <= 0.3", DOMAINS)
    space = ListedSpace(DOMAINS, np.zeros(3), np.ones(3), (limit,), rows=ROWS)
    assert len(space.rows) == (ROWS[:, 0] <= 0.3).sum()
    with pytest.raises(ValueError, match="none of the 2 listed mixtures"):
        ListedSpace(DOMAINS, np.zeros(3), np.ones(3), (limit,), rows=[[1.0, 0, 0], [0.5, 0.5, 0]])


def test_a_list_that_was_all_run_is_run_again():
    space = ListedSpace(DOMAINS, np.zeros(3), np.ones(3), rows=ROWS[:4])
    proposed = propose("random", space, runs_of(ROWS[:4]), NOTHING, 2, seed=0)
    assert len(proposed) == 2
    assert all(item.is_repeat for item in proposed)
