"""Surrogates and strategies that are there to compare with, and models of several benchmarks."""

import numpy as np
import pytest

from service.search.limits import LinearLimit
from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.search.strategies import propose
from service.search.surrogates import fit
from service.search.surrogates.aggregate import AggregateFit, PerBenchmark
from service.search.surrogates.bayes_quadratic import BayesQuadratic
from service.search.surrogates.protocol import log_density

SPACE = MixtureSpace.simplex(["a", "b", "c"])
NOTHING = np.empty((0, 3))


def plain(X, y, sd=np.nan):
    nothing = np.full(len(y), np.nan)
    return Runs(X, y, np.full(len(y), sd), nothing, nothing)


# --- log-linear, LightGBM -----------------------------------------------------------------------


def test_the_data_mixing_law_is_found_where_it_holds():
    def law(X):
        return 2.0 + 0.7 * np.exp(X @ np.array([-1.5, 0.2, -0.4]))

    X = SPACE.sample(40, np.random.default_rng(0))
    new = SPACE.sample(200, np.random.default_rng(1))
    mean, _ = fit("log-linear", SPACE, plain(X, law(X)), 0).predict(new)
    assert np.abs(mean - law(new)).max() < 0.05 * np.ptp(law(new))


@pytest.mark.parametrize("name", ["log-linear", "lightgbm"])
def test_a_point_models_interval_is_as_wide_as_its_left_out_errors(name):
    rng = np.random.default_rng(2)
    X = SPACE.sample(30, rng)
    runs = plain(X, X @ np.array([0.2, 0.8, 0.5]) + 0.05 * rng.normal(size=30))
    fitted = fit(name, SPACE, runs, 0)
    left_out, sd = fitted.leave_one_out()
    assert sd == pytest.approx(np.sqrt(((runs.score - left_out) ** 2).mean()))
    new = SPACE.sample(400, rng)
    actual = new @ np.array([0.2, 0.8, 0.5]) + 0.05 * rng.normal(size=400)
    mean, sd = fitted.predict(new, noisy=True)
    assert 0.8 < np.mean(np.abs(actual - mean) <= 1.645 * sd) < 0.99


# --- Ax -----------------------------------------------------------------------------------------


# Of four domains one is pinned and one takes what is left: two weights are free.
FOUR = ("a", "b", "c", "d")
LIMITED = MixtureSpace(
    FOUR,
    np.array([0, 0.1, 0, 0.2]),
    np.array([0.7, 0.6, 1, 0.2]),
    (LinearLimit.parse("a + b <= 0.5", FOUR),),
)


def test_ax_keeps_to_bounds_pins_and_linear_limits_from_its_first_draws():
    pytest.importorskip("ax")
    X = LIMITED.sample(4, np.random.default_rng(4))  # too few for its model, which takes seconds
    (item,) = propose("ax", LIMITED, plain(X, X[:, 2], 0.01), np.empty((0, 4)), 1, seed=1)
    assert item.strategy == "ax"
    assert LIMITED.contains(item.weights, 1e-12)
    assert item.weights[3] == 0.2


@pytest.mark.slow
@pytest.mark.parametrize("best", [(0.6, 0.3, 0.1), (0.1, 0.2, 0.7)])
def test_ax_goes_where_the_scores_are_high_at_once(best):
    pytest.importorskip("ax")
    X = SPACE.sample(12, np.random.default_rng(3))
    runs = plain(X, -((X - np.array(best)) ** 2).sum(axis=1), sd=0.001)
    (item,) = propose("ax", SPACE, runs, NOTHING, 1, seed=0)
    assert item.strategy == "ax"
    assert np.abs(item.weights - best).max() < 0.2


@pytest.mark.slow
def test_ax_keeps_to_bounds_pins_and_linear_limits():
    pytest.importorskip("ax")
    X = LIMITED.sample(8, np.random.default_rng(4))
    for item in propose("ax", LIMITED, plain(X, X[:, 2], 0.01), np.empty((0, 4)), 3, seed=1):
        assert LIMITED.contains(item.weights, 1e-12)
        assert item.weights[3] == 0.2
        assert item.strategy == "ax"


# --- several benchmarks -------------------------------------------------------------------------


def of_benchmarks(X, scores, sds, shares):
    nothing = np.full(len(X), np.nan)
    shares = np.asarray(shares) / np.sum(shares)
    sd = np.sqrt(np.asarray(sds) ** 2 @ shares**2)
    return Runs(
        X,
        scores @ shares,
        np.full(len(X), sd),
        nothing,
        nothing,
        scores,
        np.tile(sds, (len(X), 1)),
        shares,
    )


def two_benchmarks(n):
    """One benchmark is a plane known exactly, the other a curve."""
    rng = np.random.default_rng(5)
    X = SPACE.sample(n, rng)
    scores = np.column_stack(
        [X @ np.array([0.1, 0.9, 0.4]), np.sqrt(X) @ np.array([0.6, 0.1, 0.3])]
    )
    sds = [0.001, 0.02]
    return of_benchmarks(X, scores + rng.normal(size=(n, 2)) * sds, sds, [3, 1])


def test_the_sum_of_benchmarks_is_predicted_from_each():
    runs = two_benchmarks(20)
    parts = [BayesQuadratic().fit(SPACE, runs.of_benchmark(b), 0) for b in range(2)]
    added = AggregateFit(parts, runs)
    new = SPACE.sample(5, np.random.default_rng(6))
    (m0, s0), (m1, s1) = (part.predict(new) for part in parts)
    mean, sd = added.predict(new)
    assert mean == pytest.approx(0.75 * m0 + 0.25 * m1)
    assert sd == pytest.approx(np.hypot(0.75 * s0, 0.25 * s1))
    belief = added.posterior(new)
    assert belief.mean == pytest.approx(mean)
    assert np.sqrt(np.diag(belief.covariance)) == pytest.approx(sd)


def test_benchmarks_or_their_sum_whichever_foresees_runs_better():
    runs = two_benchmarks(20)
    surrogate = PerBenchmark(BayesQuadratic())
    whole = BayesQuadratic().fit(SPACE, runs, 0)
    parts = AggregateFit(
        [BayesQuadratic().fit(SPACE, runs.of_benchmark(b), 0) for b in range(2)], runs
    )
    chosen = surrogate.fit(SPACE, runs, 0)
    assert log_density(chosen) == max(log_density(whole), log_density(parts))


def test_noise_that_cancels_in_the_sum_speaks_for_modelling_the_sum():
    rng = np.random.default_rng(7)
    X = SPACE.sample(24, rng)
    plane, shared = X @ np.array([0.2, 0.8, 0.4]), 0.2 * rng.normal(size=24)
    scores = np.column_stack([plane + shared, plane - shared])
    runs = of_benchmarks(X, scores, [0.001, 0.001], [1, 1])
    assert not isinstance(PerBenchmark(BayesQuadratic()).fit(SPACE, runs, 0), AggregateFit)
