"""A Gaussian process of all channels: what their evidence may do and may not."""

from __future__ import annotations

import numpy as np
import pytest

from service.search.strategies import propose
from service.search.surrogates.carried import worth_by_covariance
from tests.support.four_domains import SPACE, measured, runs_of, truth


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global GaussianProcess, GaussianProcessFit, Kind, fit, gp_channels
    from service.search.surrogates import fit, gp_channels
    from service.search.surrogates.gp import GaussianProcess, GaussianProcessFit, Kind


def fitted(runs):
    return GaussianProcess([Kind(1.0, 2)]).fit(SPACE, runs, 0)


def error(found, X):
    return float(np.sqrt(((found.predict(X)[0] - truth(X)) ** 2).mean()))


def test_runs_alone_are_fitted_as_if_there_were_no_channels():
    runs, one = measured(8, np.random.default_rng(0)), measured(1, np.random.default_rng(1))
    told = runs_of(runs.weights, runs.score, channels={"one": one})
    X = SPACE.sample(9, np.random.default_rng(2))

    found = fitted(told)
    assert isinstance(found, GaussianProcessFit)
    assert np.array_equal(found.predict(X), fitted(runs).predict(X))


def test_what_is_said_of_mixtures_one_by_one_is_what_is_said_of_them_together():
    runs, more = measured(6, np.random.default_rng(0)), measured(8, np.random.default_rng(1))
    one = fitted(runs_of(runs.weights, runs.score, channels={"more": more}))
    X = SPACE.sample(7, np.random.default_rng(2))

    mean, sd = one.predict(X)

    belief = one.posterior(X)
    np.testing.assert_allclose(mean, belief.mean, rtol=1e-9)
    np.testing.assert_allclose(sd, belief.sd, rtol=1e-6)


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3))])
def test_a_channel_of_pure_noise_costs_next_to_nothing(seed):
    rng = np.random.default_rng(seed)
    runs = measured(30, rng)
    noise = runs_of(SPACE.sample(40, rng), rng.normal(size=40))
    X = SPACE.sample(100, rng)

    alone = fitted(runs).predict(X)[0]
    beside = fitted(runs_of(runs.weights, runs.score, channels={"noise": noise})).predict(X)[0]

    assert np.sqrt(((beside - alone) ** 2).mean()) < 0.02 * np.ptp(alone)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_channel_equal_to_the_target_counts_like_runs_of_it(seed):
    rng = np.random.default_rng(seed)
    runs, more = measured(12, rng), measured(40, rng)
    X = SPACE.sample(100, rng)
    other_unit = runs_of(more.weights, 70 + 1000 * more.score)
    joined = runs_of(runs.weights, runs.score, channels={"same": other_unit})
    pooled = runs_of(np.vstack([runs.weights, more.weights]), np.r_[runs.score, more.score])

    together = fitted(joined)
    assert error(together, X) < error(fitted(runs), X)
    assert error(together, X) < 2 * error(fitted(pooled), X) + 0.005
    carried = together.channels["same"]
    assert carried.rho > 0.8
    assert carried.worth_in_runs > 2


def test_the_order_of_rows_and_channels_does_not_matter():
    rng = np.random.default_rng(5)
    runs, one, two = (measured(n, rng) for n in (6, 9, 8))
    X = SPACE.sample(20, rng)

    def joined(a, b, c, names):
        made = {
            "one": runs_of(one.weights[b], one.score[b]),
            "two": runs_of(two.weights[c], two.score[c]),
        }
        channels = {name: made[name] for name in names}
        return fitted(runs_of(runs.weights[a], runs.score[a], np.arange(6)[a], channels)).predict(X)

    first = joined(np.arange(6), np.arange(9), np.arange(8), ("one", "two"))
    other = joined(*(rng.permutation(n) for n in (6, 9, 8)), ("two", "one"))
    np.testing.assert_allclose(first, other, rtol=1e-3)


def test_a_mixture_is_left_out_of_all_channels():
    rng = np.random.default_rng(6)
    runs = measured(7, rng)
    early = runs_of(runs.weights, 2 * runs.score, np.arange(7))
    told = runs_of(runs.weights, runs.score, np.arange(7), {"early": early})
    whole = fitted(told)
    mean, sd = whole.leave_one_out()

    # By brute force, with what was learned by all.
    keep = ~np.isin(np.arange(14), [3, 10])
    rows = whole.rows.subset(keep)
    means, variances, evidence = [], [], []
    for rho in whole.settings:
        inverse, pull, log_evidence = gp_channels.solved(whole.learned, rows, rho)
        cross = whole.learned.among(runs.weights[[3]], rows.X)[0]
        cross = cross * (rho * whole.learned.amplitude)[rows.channel]
        cross = cross + gp_channels.LEVEL**2 * (rows.channel == 0)
        own = whole.learned.among(runs.weights[[3]], runs.weights[[3]])[0, 0]
        own += gp_channels.LEVEL**2 + whole.learned.noise[0] ** 2 + whole.rows.sampling[3]
        means.append(cross @ pull)
        variances.append(own - cross @ inverse @ cross)
        evidence.append(log_evidence)
    weight = gp_channels.weights_of(np.array(evidence) + whole.log_prior)
    expected = weight @ np.array(means)
    spread = weight @ (np.array(variances) + (np.array(means) - expected) ** 2)
    assert mean[3] == pytest.approx(whole.centre + whole.scale * expected, rel=1e-5)
    assert sd[3] == pytest.approx(whole.scale * np.sqrt(spread), rel=1e-4)


def test_its_joint_belief_agrees_with_its_predictions():
    rng = np.random.default_rng(7)
    whole = fitted(
        runs_of(*(lambda r: (r.weights, r.score))(measured(4, rng)), (), {"c": measured(9, rng)})
    )
    X = SPACE.sample(6, rng)
    mean, sd = whole.predict(X)

    belief = whole.posterior(X)

    np.testing.assert_allclose(belief.mean, mean, rtol=1e-8)
    np.testing.assert_allclose(belief.sd, sd, rtol=1e-4)
    assert np.all(whole.predict(X, noisy=True)[1] > sd)


def test_runs_that_leave_as_much_open_are_what_a_channel_is_worth():
    before = np.diag([1.0, 1.0])
    left = 1 / (1 + 5 / 2 / 0.3)  # five runs spread over two mixtures
    assert worth_by_covariance(before, left, 0.3) == pytest.approx(5, abs=0.01)
    assert worth_by_covariance(before, 1.0, 0.3) == 0.0


@pytest.mark.usefixtures("short_fits")
def test_proposals_and_auto_learn_from_channels_too():
    rng = np.random.default_rng(8)
    runs = measured(8, rng)
    told = runs_of(runs.weights, runs.score, channels={"c": measured(9, rng)})

    (item,) = propose("gp", SPACE, told, np.empty((0, 4)), 1, seed=0)

    assert "from 8 runs and 9 scores of other channels" in item.reason
    averaged = fit("auto", SPACE, told, 0)
    assert {"bayes-quadratic", "gp"} >= {part.name for part in getattr(averaged, "parts", [])}
    assert averaged.channels["c"].rho > 0
