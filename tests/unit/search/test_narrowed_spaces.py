"""Spaces that became narrower than the runs there are: of a study that was edited."""

from __future__ import annotations

import numpy as np
import pytest

from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.search.strategies import propose, recommend

DOMAINS = ("a", "b", "c", "d")
NARROW = MixtureSpace(DOMAINS, np.zeros(4), np.array([0.4, 1.0, 1.0, 0.0]))
"""Less of the first than the best run has, and none of the last."""


@pytest.fixture(scope="module")
def runs():
    rng = np.random.default_rng(0)
    X = np.vstack([MixtureSpace.simplex(DOMAINS).sample(12, rng), [[0.9, 0.0, 0.0, 0.1]]])
    y = 0.4 + 0.3 * X[:, 0] + 0.2 * X[:, 3] + 0.1 * X[:, 1] * X[:, 2] + 0.005 * rng.normal(size=13)
    nothing = np.full(13, np.nan)
    return Runs(X, y, np.full(13, 0.005), nothing, nothing)


@pytest.mark.parametrize(
    "strategy",
    [
        *("bayes-quadratic", "quadsurface", "replicates", "seed", "d-optimal"),
        pytest.param("auto", marks=pytest.mark.slow),
        pytest.param("gp", marks=pytest.mark.slow),
    ],
)
def test_nothing_outside_is_proposed_though_the_best_runs_are_there(strategy, runs):
    for budget in (40, 15):  # in its middle, and when what was found is confirmed
        found = propose(strategy, NARROW, runs, np.empty((0, 4)), 2, 0, budget=budget)
        X = np.array([item.weights for item in found])
        assert len(X) == 2
        assert NARROW.contains(X).all()


def test_what_runs_outside_have_shown_is_made_use_of(runs):
    best = recommend("bayes-quadratic", NARROW, runs, 0).weights
    assert NARROW.contains(best)
    assert best[0] == pytest.approx(0.4, abs=0.01)


def test_only_mixtures_outside_are_moved(runs):
    moved = NARROW.within(runs.weights)
    assert NARROW.contains(moved).all()
    simplex = MixtureSpace.simplex(DOMAINS)
    assert simplex.within(runs.weights) is runs.weights
