"""Evidence of other channels: its closed form against brute force, and what it may not do."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st

from service.search.runs import ALONE, Runs
from service.search.surrogates.basis import Basis
from service.search.surrogates.bayes_quadratic import BayesQuadratic
from service.search.surrogates.carried import Carried, in_words, worth_in_runs
from service.search.surrogates.likelihood import (
    SHARED,
    Rows,
    Settings,
    Solved,
    counts_of,
    of_combinations,
    of_target,
)
from tests.support.four_domains import NOISE, SPACE, measured, runs_of, truth

few = settings(max_examples=2, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)


def fitted(runs, power=1.0):
    return BayesQuadratic((power,)).fit(SPACE, runs, 0)


def made_up(rng, n, p, counts):
    """n rows of p features, each of a run of its own."""
    return Rows(
        np.empty((n, 3)),
        np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))]),
        rng.normal(size=n),
        rng.uniform(0.01, 0.1, size=n),
        np.full(n, ALONE),
        np.zeros(n),
        counts,
    )


def test_the_closed_form_is_that_of_the_joint_normal_distribution():
    rng = np.random.default_rng(0)
    n, n_c, n_d, p = 5, 6, 4, 4
    prior = np.array([[4.0, 0.6, 0.6, 0.2]])
    given_ = Settings(
        np.ones((1, 2)),
        np.array([0.5]),
        [np.array([[0.7, 1.4, 0.3]]), np.array([[-0.4, 0.8, 0.6]])],
    )
    target, one, two = (made_up(rng, k, p, np.ones(k)) for k in (n, n_c, n_d))
    one.pair[:3] = [2, 0, 4]  # rows of the same training run as the target's, and so mixture
    one.F[:3] = target.F[[2, 0, 4]]
    likelihood = of_target(given_, target)
    likelihood = likelihood + Solved.of(prior, given_, 0, target, one).likelihood
    likelihood = likelihood + Solved.of(prior, given_, 1, target, two).likelihood

    # Brute force: beta, gamma_1 and gamma_2 to all scores.
    def design(rows, rho, amplitude, own):
        terms = np.array([0.0, 1.0, 1.0, 1.0])
        shares = [rows.F * (amplitude * rho * terms), np.zeros((len(rows.y), 2 * p))]
        constant = np.array([1.0, 0.0, 0.0, 0.0])
        shares[1][:, own * p : (own + 1) * p] = rows.F * (
            amplitude * np.sqrt(1 - rho**2) * terms + constant
        )
        return np.hstack(shares)

    H = np.vstack(
        [
            np.hstack([target.F, np.zeros((n, 2 * p))]),
            design(one, 0.7, 1.4, 0),
            design(two, -0.4, 0.8, 1),
        ]
    )
    training = np.concatenate([np.full(n, 0.5), np.full(n_c, 0.3), np.full(n_d, 0.6)])
    E = np.diag(training**2 + np.concatenate([r.sampling for r in (target, one, two)]))
    for i, j in enumerate([2, 0, 4]):
        E[n + i, j] = E[j, n + i] = SHARED * 0.5 * 0.3
    y = np.concatenate([r.y for r in (target, one, two)])
    D = np.diag(np.tile(prior[0], 3))
    K = H @ D @ H.T + E
    mean = (D @ H.T @ np.linalg.solve(K, y))[:p]
    covariance = (D - D @ H.T @ np.linalg.solve(K, H @ D))[:p, :p]

    found = np.linalg.inv(likelihood.J[0] + np.diag(1 / prior[0]))
    np.testing.assert_allclose(found, covariance, atol=1e-12)
    np.testing.assert_allclose(found @ likelihood.h[0], mean, atol=1e-12)
    expected = scipy.stats.multivariate_normal(np.zeros(len(y)), K).logpdf(y)
    assert likelihood.evidence(prior)[0] == pytest.approx(expected)


def a_channel_beside_the_target(rng):
    """Rows of the target and of a channel, of which three are of the target's runs."""
    n, p = 9, 4
    target, rows = (made_up(rng, n, p, rng.uniform(0.5, 1.0, size=n)) for _ in range(2))
    rows.pair[:3] = [2, 0, 4]
    return target, rows


def test_settings_gone_through_at_once_are_those_gone_through_one_by_one():
    rng = np.random.default_rng(1)
    target, rows = a_channel_beside_the_target(rng)
    prior = np.array([100.0, 0.6, 0.6, 0.2])
    combos = np.column_stack(
        [
            [0.0, 0.4, 0.85, 1.0, 1.0, -0.3],
            rng.uniform(0.3, 3.0, size=6),
            [0.03, 0.03, 0.2, 0.2, 0.2, 1.0],
        ]
    )
    same = np.tile(prior, (6, 1))
    settings_ = Settings(np.ones((6, 2)), np.full(6, 0.5), [combos])

    slow = Solved.of(same, settings_, 0, target, rows).likelihood.scaled(same)
    quick = of_combinations(prior, 0.5, combos, target, rows)

    np.testing.assert_allclose(quick.A, slow.A, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(quick.evidence(), slow.evidence(), rtol=1e-9)


@pytest.mark.parametrize("left_out", [[0], [1, 5], [6, 7, 8]])
def test_rows_taken_out_of_all_leave_what_the_others_tell(left_out):
    rng = np.random.default_rng(2)
    target, rows = a_channel_beside_the_target(rng)
    prior = rng.uniform(0.1, 2.0, size=(5, 4)) * [100, 1, 1, 1]
    channel = np.column_stack([[0.0, 0.4, 0.85, 1.0, 1.0], *rng.uniform(0.1, 2.0, size=(2, 5))])
    settings_ = Settings(np.ones((5, 2)), rng.uniform(0.1, 1.0, size=5), [channel])
    others = ~np.isin(np.arange(9), left_out)

    told = Solved.of(prior, settings_, 0, target, rows)
    quick = told.likelihood - told.added_by(np.array(left_out))
    slow = Solved.of(prior, settings_, 0, target, rows.subset(others)).likelihood

    for one, other in zip(vars(quick).values(), vars(slow).values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(quick.evidence(prior), slow.evidence(prior), rtol=1e-9)


def test_a_left_out_mixture_is_foreseen_by_the_coefficients_without_it():
    rng = np.random.default_rng(3)
    target, _ = a_channel_beside_the_target(rng)
    prior = rng.uniform(0.1, 2.0, size=(3, 4))
    likelihood = of_target(Settings(np.ones((3, 2)), np.full(3, 0.4), []), target)
    covariance = np.linalg.inv(likelihood.J + np.array([np.diag(1 / one) for one in prior]))
    f = rng.normal(size=(2, 4))

    mean, variance = likelihood.foreseen(prior, f)

    coefficients = (covariance @ likelihood.h[:, :, None])[:, :, 0]
    np.testing.assert_allclose(mean, coefficients @ f.T)
    np.testing.assert_allclose(variance, np.einsum("kp,gpq,kq->gk", f, covariance, f))


@few
@given(seed=seeds)
def test_a_channel_of_pure_noise_leaves_predictions_as_they_are(seed):
    rng = np.random.default_rng(seed)
    runs = measured(30, rng)
    noise = runs_of(SPACE.sample(40, rng), rng.normal(size=40))
    X = SPACE.sample(100, rng)

    alone, _ = fitted(runs).predict(X)
    beside, _ = fitted(runs_of(runs.weights, runs.score, channels={"noise": noise})).predict(X)

    spread = alone.max() - alone.min()
    assert np.sqrt(((beside - alone) ** 2).mean()) < 0.02 * spread


@few
@given(seed=seeds)
def test_a_channel_equal_to_the_target_counts_like_runs_of_it(seed):
    rng = np.random.default_rng(seed)
    runs, more = measured(16, rng), measured(40, rng)
    X = SPACE.sample(100, rng)

    def error(of):
        return np.sqrt(((fitted(of).predict(X)[0] - truth(X)) ** 2).mean())

    joined = fitted(runs_of(runs.weights, runs.score, channels={"same": more}))
    pooled = runs_of(np.vstack([runs.weights, more.weights]), np.r_[runs.score, more.score])

    with_channel = error(runs_of(runs.weights, runs.score, channels={"same": more}))
    assert with_channel < error(runs)
    assert with_channel < 2 * error(pooled) + 0.005
    assert joined.channels["same"].rho > 0.8


@few
@given(seed=seeds)
def test_the_order_of_rows_and_channels_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    runs, one, two = (measured(n, rng) for n in (6, 9, 8))
    X = SPACE.sample(20, rng)

    def joined(a, b, c, names):
        told = runs_of(
            runs.weights[a],
            runs.score[a],
            run=np.arange(6)[a],
            channels={
                name: {
                    "one": runs_of(one.weights[b], one.score[b]),
                    "two": runs_of(two.weights[c], two.score[c]),
                }[name]
                for name in names
            },
        )
        return fitted(told).predict(X)

    first = joined(np.arange(6), np.arange(9), np.arange(8), ("one", "two"))
    other = joined(*(rng.permutation(n) for n in (6, 9, 8)), ("two", "one"))
    np.testing.assert_allclose(first, other, rtol=1e-6)


def test_fewer_directions_than_pairs_are_as_good_where_rows_vary_in_no_more(monkeypatch):
    rng = np.random.default_rng(8)
    runs, more = measured(3, rng), measured(2, rng)  # in all fewer rows than the six pairs
    told = runs_of(runs.weights, runs.score, channels={"c": more})
    X = SPACE.sample(20, rng)
    whole = fitted(told)
    monkeypatch.setattr(Basis, "of", partial(Basis.of, most_features=0))

    reduced = fitted(told)

    np.testing.assert_allclose(reduced.predict(X), whole.predict(X), rtol=1e-6)
    np.testing.assert_allclose(reduced.leave_one_out(), whole.leave_one_out(), rtol=1e-6)


def test_what_directions_leave_out_stays_unknown(monkeypatch):
    rng = np.random.default_rng(9)
    runs, more = measured(8, rng), measured(20, rng)
    told = runs_of(runs.weights, runs.score, channels={"c": more})
    X = SPACE.sample(50, rng)
    _, whole = fitted(told).predict(X)
    monkeypatch.setattr(Basis, "of", partial(Basis.of, most_features=0, most_directions=1))

    _, reduced = fitted(told).predict(X)

    assert reduced.mean() > whole.mean()


def test_scores_in_other_units_tell_the_same():
    rng = np.random.default_rng(3)
    runs, more = measured(8, rng), measured(30, rng)
    X = SPACE.sample(20, rng)
    same = runs_of(more.weights, 1000 - 40 + 7 * more.score)

    one, other = (
        fitted(runs_of(runs.weights, runs.score, channels={"c": c})).predict(X)
        for c in (more, same)
    )

    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_left_out_run_is_foreseen_without_its_mixture_in_any_channel():
    rng = np.random.default_rng(4)
    runs, more = measured(10, rng), measured(12, rng)
    early = runs_of(
        np.vstack([runs.weights, more.weights]), np.r_[runs.score, more.score], np.arange(22)
    )
    whole = runs_of(runs.weights, runs.score, np.arange(10), {"early": early})
    mean, sd = fitted(whole).leave_one_out()

    again = fitted(whole.without(runs.weights[3]))
    expected, spread = again.predict(runs.weights[[3]], noisy=True)
    assert len(again.runs.channels["early"]) == 21
    # The settings are averaged over as they stand for all runs, the scores' own units too.
    assert mean[3] == pytest.approx(expected[0], abs=0.5 * spread[0])
    assert sd[3] == pytest.approx(spread[0], rel=0.35)


def test_a_score_of_the_same_run_tells_less_than_one_of_another_run():
    rng = np.random.default_rng(5)
    X = SPACE.sample(12, rng)
    F = np.column_stack([np.ones(12), X[:, :3]])
    y = rng.normal(size=12)
    settings_ = Settings(np.ones((1, 2)), np.array([0.4]), [np.array([[1.0, 1.0, 0.4]])])
    prior = np.ones((1, 4))
    target = Rows(X, F, y, np.zeros(12), np.full(12, ALONE), np.zeros(12), np.ones(12))

    def variance(pair):
        channel = Rows(X, F, y, np.zeros(12), pair, np.zeros(12), np.ones(12))
        likelihood = (
            of_target(settings_, target)
            + Solved.of(prior, settings_, 0, target, channel).likelihood
        )
        return np.linalg.inv(likelihood.J[0] + np.eye(4))[1:, 1:].diagonal()

    assert np.all(variance(np.arange(12)) > variance(np.full(12, ALONE)))


def test_scores_of_one_run_in_several_channels_do_not_count_as_several_runs():
    rng = np.random.default_rng(10)
    runs, stopped = measured(10, rng), SPACE.sample(20, rng)
    score = truth(stopped) + NOISE * rng.normal(size=20)  # the same noise at every step
    X = SPACE.sample(200, rng)

    def sd(number):
        early = {
            f"step-{i}": runs_of(stopped, score + 0.003 * rng.normal(size=20), number)
            for i in range(3)
        }
        return fitted(runs_of(runs.weights, runs.score, channels=early)).predict(X)[1].mean()

    assert sd(np.arange(20)) > 1.1 * sd(())


def test_rows_of_one_run_count_as_equally_correlated_ones_do():
    counts = counts_of(np.array([1, 2, 3]), np.array([False, False, False]))
    assert counts == pytest.approx([1, 1 / (1 + SHARED), 1 / (1 + 2 * SHARED)])
    assert counts_of(np.array([3]), np.array([True]))[0] > counts[2]


def test_a_channel_of_one_row_tells_nothing():
    rng = np.random.default_rng(6)
    runs, one = measured(8, rng), measured(1, rng)
    X = SPACE.sample(20, rng)

    beside = fitted(runs_of(runs.weights, runs.score, channels={"one": one}))

    assert beside.channels == {"one": Carried(0.0, 0.0, 0.0)}
    np.testing.assert_allclose(beside.predict(X)[0], fitted(runs).predict(X)[0], rtol=0.05)


ODD = {
    "a target of one mixture": lambda r, c: (
        runs_of(np.repeat(r.weights[:1], 4, 0), r.score[:4]),
        c,
    ),
    "scores that are all the same": lambda r, c: (
        runs_of(r.weights, np.full(6, 0.5)),
        runs_of(c.weights, np.full(9, 3.0)),
    ),
    "scores of other sizes": lambda r, c: (
        runs_of(r.weights, 1e9 * r.score),
        runs_of(c.weights, 1e-9 * c.score),
    ),
    "a channel of one mixture": lambda r, c: (r, runs_of(np.repeat(c.weights[:1], 9, 0), c.score)),
    "the very same runs": lambda r, c: (
        runs_of(r.weights, r.score, np.arange(6)),
        runs_of(r.weights, r.score, np.arange(6)),
    ),
    "no scores": lambda r, c: (r, runs_of(c.weights[:0], c.score[:0])),
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
def test_odd_rows_are_no_trouble(change):
    rng = np.random.default_rng(11)
    runs, channel = change(measured(6, rng), measured(9, rng))
    told = runs_of(runs.weights, runs.score, runs.run, {"c": channel})

    # Not as a mark: what the first test of a process has to import may warn.
    with warnings.catch_warnings(action="error"):
        found = fitted(told)
        assert np.isfinite(found.predict(SPACE.sample(20, rng))).all()
        assert np.isfinite(found.leave_one_out()).all()
        assert np.isfinite(found.channels["c"]).all()


def test_an_exact_channel_is_worth_the_runs_that_it_has():
    rng = np.random.default_rng(7)
    F = np.column_stack([np.ones(20), rng.normal(size=(20, 2))])
    own, added = np.eye(3), F.T @ F / 0.3

    assert worth_in_runs(own, added, F, 0.3) == pytest.approx(20, abs=0.01)
    assert worth_in_runs(own, np.zeros((3, 3)), F, 0.3) == 0.0


@pytest.mark.parametrize(
    ("rho", "sd", "said"),
    [
        (0.95, 0.02, "nearly all of what they tell carries over (correlation 0.95, 0.90 to 0.98)"),
        (0.8, 0.1, "most of what they tell carries over (correlation 0.80, 0.57 to 0.95)"),
        (0.8, 0.35, "how far they carry over is hardly known yet (correlation 0.80, 0.00 to 1.00)"),
        (0.1, 0.1, "hardly any of what they tell carries over (correlation 0.10, 0.00 to 0.37)"),
        (0.0, 0.0, "hardly any of what they tell carries over (correlation 0.00, 0.00 to 0.00)"),
        (1.0, 0.0, "nearly all of what they tell carries over (correlation 1.00, 1.00 to 1.00)"),
        (0.5, 0.5, "how far they carry over is hardly known yet (correlation 0.50, 0.00 to 1.00)"),
    ],
)
def test_how_far_a_channel_carries_over_is_told_in_words_with_an_interval(rho, sd, said):
    assert in_words(rho, sd) == said


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ({"full": 4}, "cannot be called 'full'"),
        ({"": 4}, "cannot be called ''"),
        ({"early": 3}, "channel 'early' has 3 domains and 0 benchmarks, the runs 4 and 0"),
    ],
)
def test_channels_that_do_not_fit_the_runs_are_refused(channels, said):
    made = {name: Runs.none(m) for name, m in channels.items()}
    with pytest.raises(ValueError, match=said):
        runs_of(np.empty((0, 4)), np.empty(0), channels=made)


def test_channels_turn_with_the_runs_and_split_into_benchmarks_with_them():
    X = np.eye(2)
    parts = np.array([[0.1, 0.2], [0.3, 0.4]])
    nothing = np.full(2, np.nan)
    early = Runs(X, [1, 2], nothing, nothing, nothing, 10 * parts, parts, [0.5, 0.5])
    whole = Runs(
        X,
        [3, 4],
        nothing,
        nothing,
        nothing,
        parts,
        parts,
        [0.5, 0.5],
        [7, 8],
        channels={"e": early},
    )

    assert whole.negated().channels["e"].score.tolist() == [-1, -2]
    assert whole.of_benchmark(1).channels["e"].score.tolist() == [2, 4]
    assert whole.of_benchmark(1).run.tolist() == [7, 8]
    assert whole.subset(np.array([False, True])).run.tolist() == [8]
    left = whole.without(X[0])
    assert left.score.tolist() == [4]
    assert left.channels["e"].score.tolist() == [2]
