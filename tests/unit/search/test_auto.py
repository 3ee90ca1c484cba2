"""`auto`, the strategy a user should run: from the opening to the confirmations."""

from functools import cache

import numpy as np
import pytest

from service.search.openings import opening_size
from service.search.runs import Runs
from service.search.space import SAME, MixtureSpace, total_variation
from service.search.strategies import propose, recommend
from tests.support import LONG_S

pytestmark = pytest.mark.timeout(LONG_S)

SPACE = MixtureSpace.simplex(["a", "b", "c"])
NOTHING = np.empty((0, 3))
BUDGET = 18
NOISE = 0.01


def truth(X):
    return 0.5 * np.sqrt(X) @ np.array([0.5, 0.9, 0.2]) + 0.3 * X[:, 0] * X[:, 1]


def runs_of(X, y):
    nothing = np.full(len(y), np.nan)
    return Runs(X, y, np.full(len(y), NOISE), nothing, nothing)


@pytest.fixture(params=["auto", "bayes-quadratic"])
def searched(request, short_fits):
    return whole_search(request.param)


@cache
def whole_search(strategy):
    """Three runs at a time: mixtures, scores and what was said."""
    rng = np.random.default_rng(0)
    X, y, said = NOTHING, np.empty(0), []
    while len(y) < BUDGET:
        runs = runs_of(X, y) if len(y) else Runs.none(3)
        items = propose(strategy, SPACE, runs, NOTHING, 3, seed=len(y), budget=BUDGET)
        said += items
        new = np.array([item.weights for item in items])
        X = np.vstack([X, new])
        y = np.append(y, truth(new) + NOISE * rng.normal(size=3))
    return strategy, runs_of(X, y), said


def test_it_opens_with_the_uniform_mixture_and_a_design(searched):
    _, _, said = searched
    size = opening_size(3, BUDGET)
    assert total_variation(said[0].weights, np.full((1, 3), 1 / 3))[0] < 1e-12
    assert {item.strategy for item in said[:size]} == {"opening"}
    assert said[size].strategy != "opening"


def test_auto_ends_by_repeating_the_best_and_the_uniform_mixture(searched):
    strategy, runs, said = searched
    confirmed = [item for item in said if item.strategy == "confirm"]
    if strategy != "auto":
        assert not confirmed, "who asks for one model gets its proposals only"
        return
    assert confirmed == said[-(BUDGET // 6) :]
    assert any("uniform" in item.reason for item in confirmed)
    assert any("best predicted" in item.reason for item in confirmed)
    counts = [(total_variation(x, runs.weights) <= SAME).sum() for x in runs.weights]
    assert counts[0] >= 2, "the uniform mixture, which was run first"
    assert max(counts[i] for i in range(BUDGET) if said[i].strategy == "confirm") >= 2
    best = said[-1].mean if "best" in said[-1].reason else said[-2].mean
    assert best > np.median(runs.score)


def test_every_model_based_proposal_says_the_chance_that_something_better_is_left(searched):
    _, _, said = searched
    telling = [p for p in said if p.strategy not in ("opening", "confirm")]
    assert telling
    assert all("% chance that one beats the best by" in item.reason for item in telling)
    assert all(item.mean is not None and item.sd > 0 for item in telling)


def test_it_finds_the_best_mixture(searched):
    strategy, runs, _ = searched
    found = recommend(strategy, SPACE, runs, seed=0)
    everywhere = truth(SPACE.sample(20_000, np.random.default_rng(1)))
    lost = everywhere.max() - truth(found.weights[None])[0]
    assert lost < 0.05 * np.ptp(everywhere)
    assert abs(found.mean - truth(found.weights[None])[0]) < 4 * max(found.sd, NOISE / 2)


def test_the_papers_seeds_open_it_if_asked():
    proposed = propose(
        "auto", SPACE, Runs.none(3), NOTHING, 7, seed=0, budget=BUDGET, opening="seeds"
    )
    from_paper = propose("seed", SPACE, Runs.none(3), NOTHING, 7, seed=0)
    for ours, theirs in zip(proposed, from_paper, strict=True):
        assert np.array_equal(ours.weights, theirs.weights)


def test_it_says_when_to_stop():
    # A plane without noise worth speaking of, known at many places: nothing is left to learn.
    X = SPACE.sample(60, np.random.default_rng(0))
    runs = runs_of(X, X @ np.array([0.1, 0.9, 0.3]))
    item = propose("bayes-quadratic", SPACE, runs, NOTHING, 1, seed=0)[0]
    assert "stop here" in item.reason
    assert "0% chance that one beats the best" in item.reason


@pytest.mark.usefixtures("short_fits")
def test_without_a_budget_nothing_is_kept_for_confirming():
    X = SPACE.sample(BUDGET - 1, np.random.default_rng(2))
    runs = runs_of(X, truth(X))
    last = propose("auto", SPACE, runs, NOTHING, 1, seed=0, budget=BUDGET)
    assert [item.strategy for item in last] == ["confirm"]
    proposed = propose("auto", SPACE, runs, NOTHING, 3, seed=0)
    assert all(item.strategy != "confirm" for item in proposed)
