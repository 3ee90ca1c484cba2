"""The Bayesian quadratic: its closed forms against brute force, and its calibration."""

import numpy as np
import pytest
import scipy

from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.search.surrogates import regression
from service.search.surrogates.bayes_quadratic import BayesQuadratic

SPACE = MixtureSpace.simplex("abcd")


def runs_of(X, y, noise_sd=np.nan):
    nothing = np.full(len(y), np.nan)
    return Runs(X, y, np.full(len(y), noise_sd), nothing, nothing)


def truth(X, power=1.0):
    Z = X**power
    return Z @ np.array([0.3, 0.5, 0.2, 0.4]) + 0.8 * Z[:, 0] * Z[:, 1] - 0.3 * Z[:, 2] * Z[:, 3]


@pytest.mark.parametrize("shape", [(6, 11), (25, 4)], ids=["by runs", "by features"])
def test_evidence_is_that_of_the_multivariate_normal(shape):
    rng = np.random.default_rng(0)
    (n, p), settings = shape, 3
    F, y = rng.normal(size=shape), rng.normal(size=n)
    prior = rng.uniform(0.1, 2.0, size=(settings, p))
    noise = rng.uniform(0.1, 1.0, size=(settings, n))
    log_likelihood, pull, precision = regression.evidence(F, y, prior, noise)
    for g in range(settings):
        K = (F * prior[g]) @ F.T + np.diag(noise[g])
        inverse = np.linalg.inv(K)
        assert log_likelihood[g] == pytest.approx(
            scipy.stats.multivariate_normal(np.zeros(n), K).logpdf(y)
        )
        assert np.allclose(pull[g], inverse @ y)
        assert np.allclose(precision[g], np.diag(inverse))


def test_coefficients_are_the_same_by_runs_and_by_features():
    rng = np.random.default_rng(1)
    F, y, prior, noise = (
        rng.normal(size=(7, 6)),
        rng.normal(size=7),
        np.full(6, 2.0),
        np.full(7, 0.3),
    )
    by_features = regression.coefficients(F, y, prior, noise)
    wide = np.hstack([F, np.zeros((7, 6))])  # features that are always 0 change nothing
    by_runs = regression.coefficients(wide, y, np.full(12, 2.0), noise)
    assert np.allclose(by_features[0], by_runs[0][:6])
    assert np.allclose(by_features[1], by_runs[1][:6, :6])


def test_what_settings_make_of_few_runs_is_averaged_without_making_each():
    rng = np.random.default_rng(3)
    F, weight = rng.normal(size=(5, 9)), np.array([0.2, 0.5, 0.3])
    prior = np.repeat(rng.uniform(0.5, 2, (3, 3)), [1, 3, 5], axis=1)
    noise = rng.uniform(0.1, 1, (3, 5))
    made = regression.ByRuns(F, prior, noise)
    each = np.array([made.of(g) for g in range(3)])
    assert made.averaged(weight) == pytest.approx(regression.Stored(each).averaged(weight))
    y = rng.normal(size=5)
    _, pull, _ = regression.evidence(F, y, prior, noise)
    mean, covariance = regression.coefficients(F, y, prior[1], noise[1])
    assert prior[1] * (F.T @ pull[1]) == pytest.approx(mean)
    assert each[1] == pytest.approx(covariance)


def test_leaving_out_in_closed_form_is_close_to_fitting_again():
    rng = np.random.default_rng(2)
    X = SPACE.sample(24, rng)
    runs = runs_of(X, truth(X) + 0.02 * rng.normal(size=24))
    mean, sd = BayesQuadratic().fit(SPACE, runs, 0).leave_one_out()
    for i in range(0, 24, 5):
        rest = runs.subset(np.arange(24) != i)
        again, spread = BayesQuadratic().fit(SPACE, rest, 0).predict(X[i][None], noisy=True)
        # Scales of the features are those of all runs in the one, of the rest in the other.
        assert mean[i] == pytest.approx(float(again[0]), abs=0.3 * sd[i])
        assert sd[i] == pytest.approx(float(spread[0]), rel=0.3)


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_it_learns_on_which_power_of_the_weights_the_scores_are_quadratic(power):
    rng = np.random.default_rng(3)
    X = SPACE.sample(60, rng)
    fitted = BayesQuadratic().fit(
        SPACE, runs_of(X, truth(X, power) + 0.002 * rng.normal(size=60)), 0
    )
    assert max(fitted.power_share, key=fitted.power_share.get) == power
    new = SPACE.sample(200, rng)
    assert np.abs(fitted.predict(new)[0] - truth(new, power)).max() < 0.03


def test_ninety_percent_intervals_hold_about_ninety_percent():
    inside = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        scale = rng.uniform(0.1, 1.0)
        a, b = rng.normal(size=4), scale * rng.normal(size=6)
        i, j = np.triu_indices(4, 1)

        def score(X, a=a, b=b, i=i, j=j):
            return X @ a + (X[:, i] * X[:, j]) @ b

        X, new = SPACE.sample(14, rng), SPACE.sample(40, rng)
        noise = 0.1
        y = score(X) + noise * rng.normal(size=14)
        mean, sd = BayesQuadratic().fit(SPACE, runs_of(X, y), 0).predict(new)
        inside.append(np.abs(mean - score(new)) <= scipy.stats.norm.ppf(0.95) * sd)
    assert 0.84 <= np.mean(inside) <= 0.97


def test_known_sampling_error_is_taken_off_what_a_run_says():
    rng = np.random.default_rng(4)
    X = SPACE.sample(20, rng)
    y = truth(X) + 0.1 * rng.normal(size=20)
    certain = np.where(np.arange(20) < 10, 0.001, 0.5)
    nothing = np.full(20, np.nan)
    fitted = BayesQuadratic().fit(SPACE, Runs(X, y, certain, nothing, nothing), 0)
    off = np.abs(fitted.predict(X)[0] - y)
    assert off[:10].mean() < off[10:].mean(), "exact runs are followed, uncertain ones are not"


def test_draws_have_the_mean_and_spread_of_the_belief():
    rng = np.random.default_rng(5)
    X = SPACE.sample(12, rng)
    fitted = BayesQuadratic((1.0,)).fit(SPACE, runs_of(X, truth(X) + 0.05 * rng.normal(size=12)), 0)
    at = SPACE.sample(5, rng)
    draws = np.array([fitted.parts[0].draw(rng)(at) for _ in range(3000)])
    mean, sd = fitted.predict(at)
    assert np.all(np.abs(draws.mean(axis=0) - mean) < 5 * sd / np.sqrt(3000))
    assert np.allclose(draws.std(axis=0), sd, rtol=0.15)


def test_the_highest_mean_of_a_raw_quadratic_is_exact():
    rng = np.random.default_rng(6)
    X = SPACE.sample(30, rng)
    fitted = BayesQuadratic((1.0,)).fit(SPACE, runs_of(X, truth(X)), 0)
    best = fitted.highest(SPACE, X[:2], rng)
    others = SPACE.sample(5000, rng)
    assert fitted.predict(best[None])[0][0] >= fitted.predict(others)[0].max() - 1e-12


def test_equal_scores_and_a_single_domain_are_no_trouble():
    one = MixtureSpace.simplex(["only"])
    fitted = BayesQuadratic().fit(one, runs_of(np.ones((3, 1)), np.array([0.4, 0.5, 0.45])), 0)
    assert fitted.predict(np.ones((1, 1)))[0][0] == pytest.approx(0.45, abs=0.03)
    X = SPACE.sample(5, np.random.default_rng(0))
    fitted = BayesQuadratic().fit(SPACE, runs_of(X, np.full(5, 0.5)), 0)
    assert np.allclose(fitted.predict(X)[0], 0.5)


@pytest.mark.parametrize("blur", [0.0, 1e-6, 1e-3, 0.02, 0.1])
@pytest.mark.parametrize("n", [2, 4])
def test_runs_of_single_domains_promise_no_more_of_mixtures_than_they_showed(n, blur):
    X = (1 - blur) * np.eye(4)[:n] + blur / 4
    _, sd = BayesQuadratic().fit(SPACE, runs_of(X, truth(X)), 0).predict(SPACE.uniform[None])
    assert 0.1 < sd[0] / truth(X).std(ddof=1) < 10
