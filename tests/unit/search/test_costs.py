"""Scores of every price: what is proposed is what teaches most for its cost."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from service.search.acquisition import Knowledge
from service.search.openings import opening_size
from service.search.runs import MERGED, TARGET, Runs
from service.search.space import SAME, MixtureSpace, total_variation
from service.search.strategies import propose
from service.search.surrogates import fit
from service.search.surrogates.basis import Basis
from service.search.surrogates.channel_belief import ChannelBelief
from service.search.surrogates.channel_settings import Channel
from service.search.surrogates.likelihood import SHARED, Rows, Settings
from service.search.surrogates.part import LEVEL, Scaling

SPACE = MixtureSpace.simplex("abcd")
SLOPES = np.array([0.2, 0.6, 0.1, 0.4])
FULL_AND = {TARGET: 1.0, "early": 0.25}


def scored(X, noise=0.02, seed=0, level=0.0, slopes=SLOPES, run=(), channels=None):
    rng = np.random.default_rng(seed)
    nothing = np.full(len(X), np.nan)
    y = level + np.sqrt(X) @ slopes + noise * rng.normal(size=len(X))
    return Runs(X, y, nothing, nothing, nothing, run=run, channels=channels or {})


def some(n, seed):
    return SPACE.sample(n, np.random.default_rng(seed))


def with_channels(n=8, **channels):
    return scored(some(n, 1), run=np.arange(n), channels=channels)


@cache
def fitted_with_early(name):
    return fit(name, SPACE, with_channels(early=scored(some(12, 2), level=-3.0, seed=5)), 0)


def test_given_its_settings_the_belief_about_all_channels_is_that_of_one_gaussian():
    X, Xc = some(5, 1), np.vstack([some(5, 1)[:3], some(4, 2)])
    rho, amplitude, noise, own_noise, scales = 0.8, 1.3, 0.4, 0.3, (0.9, 0.5)
    runs = scored(X)
    scaling = Scaling.of(runs, 1.0, None)
    basis = Basis.of(scaling, np.vstack([X, Xc]))
    F, Fc = basis.features(X)[0], basis.features(Xc)[0]
    rng = np.random.default_rng(3)
    y, yc = rng.normal(size=5), rng.normal(size=7)
    pair = np.array([0, 1, 2, -1, -1, -1, -1])
    target = Rows(X, F, y, np.zeros(5), np.full(5, -1), np.zeros(5), np.ones(5))
    rows = Rows(Xc, Fc, yc, np.zeros(7), pair, np.zeros(7), np.ones(7))
    settings = Settings(
        np.array([scales]), np.array([noise]), [np.array([[rho, amplitude, own_noise]])]
    )
    channel = Channel(basis, rows, np.array([own_noise]), np.zeros(1), 0.5)
    belief = ChannelBelief(basis, ["c"], settings, np.ones(1), target, [channel])
    # The same by conditioning one Gaussian of the features' coefficients on all scores.
    prior = basis.prior(settings.scales)[0]
    p = len(prior)
    is_term = np.arange(p) > 0
    P = np.zeros((2 * p, 2 * p))
    P[:p, :p] = np.diag(prior)
    P[p:, p:] = np.diag(prior * np.where(is_term, amplitude**2, 1.0))
    P[:p, p:] = P[p:, :p] = np.diag(prior * np.where(is_term, amplitude * rho, 0.0))
    H = np.zeros((12, 2 * p))
    H[:5, :p], H[5:, p:] = F, Fc
    R = np.diag(np.repeat([noise**2, own_noise**2], [5, 7]))
    for i in range(3):
        R[i, 5 + i] = R[5 + i, i] = SHARED * noise * own_noise
    K = P @ H.T @ np.linalg.inv(H @ P @ H.T + R)
    mean, covariance = K @ np.concatenate([y, yc]), P - K @ H @ P
    new = some(3, 7)
    G = np.kron(np.eye(2), basis.features(new)[0])
    found = belief.joint(new)
    assert found.names == (TARGET, "c")
    assert found.mean == pytest.approx(
        (scaling.centre + scaling.scale * (G @ mean)).reshape(2, 3), abs=1e-8
    )
    assert found.covariance == pytest.approx(
        scaling.scale**2 * (G @ covariance @ G.T), rel=1e-6, abs=LEVEL**2 * 1e-8
    )


@pytest.mark.parametrize("name", ["bayes-quadratic", "gp"])
def test_the_targets_part_of_the_joint_belief_is_its_posterior(name):
    fitted = fitted_with_early(name)
    X = some(20, 3)
    joint, belief = fitted.joint(X), fitted.posterior(X)
    assert joint.names == (TARGET, "early")
    # Settings that stand for all are some of them.
    assert joint.mean[0] == pytest.approx(belief.mean, abs=0.2 * belief.sd.max())
    sd = np.sqrt(np.diag(joint.covariance)[:20])
    assert sd == pytest.approx(belief.sd, rel=0.25)
    assert np.linalg.eigvalsh(joint.covariance).min() > -1e-9


def test_a_cheap_channel_that_carries_over_comes_before_runs_and_one_of_noise_does_not():
    rng = np.random.default_rng(4)
    X = some(30, 2)
    noise = Runs(X, rng.normal(size=30), *[np.full(30, np.nan)] * 3)
    good = with_channels(early=scored(X, level=-3.0, seed=5))
    bad = with_channels(early=noise)
    best_of = {}
    for name, runs in {"good": good, "bad": bad}.items():
        fitted = fit("bayes-quadratic", SPACE, runs, 0)
        knowledge = Knowledge.gathered(fitted, SPACE, {}, np.random.default_rng(0), FULL_AND)
        best_of[name] = knowledge.best({})
        assert knowledge.gains.shape == (2, len(knowledge.X))
    assert (best_of["good"].channel, best_of["good"].cost) == ("early", 0.25)
    assert best_of["bad"].channel == TARGET


def test_a_dearer_score_has_to_teach_more():
    fitted = fitted_with_early("bayes-quadratic")
    gains = []
    for cost in (0.01, 10.0):
        knowledge = Knowledge.gathered(
            fitted, SPACE, {}, np.random.default_rng(0), {TARGET: 1.0, "early": cost}
        )
        gains.append(knowledge.best({}))
    assert [one.channel for one in gains] == ["early", TARGET]


def test_what_is_on_its_way_in_a_channel_makes_its_mixture_less_telling_in_all():
    fitted = fitted_with_early("bayes-quadratic")
    before = Knowledge.gathered(fitted, SPACE, {}, np.random.default_rng(0), FULL_AND)
    best = before.best({})
    pending = {"early": best.weights[None]}
    after = Knowledge.gathered(fitted, SPACE, pending, np.random.default_rng(0), FULL_AND)
    i, j = (int(np.argmin(total_variation(best.weights, k.X))) for k in (before, after))
    assert np.all(after.gains[:, j] < before.gains[:, i])
    again = before.after(best.weights, "early")
    assert np.all(np.diag(again.covariance) <= np.diag(before.covariance) + 1e-12)


def proposed(runs, n=1, costs=FULL_AND, **more):
    nothing = np.empty((0, SPACE.m))
    return propose("bayes-quadratic", SPACE, runs, nothing, n, 0, costs=costs, **more)


def test_proposals_say_channel_cost_and_gain():
    runs = with_channels(early=scored(some(30, 2), level=-3.0, seed=5))
    items = proposed(runs, 3)
    first = items[0]
    assert (first.channel, first.cost) == ("early", 0.25)
    assert first.gain is not None
    assert first.gain > 0
    assert "channel early" in first.reason
    early = [item.weights for item in items if item.channel == "early"]
    assert all(total_variation(a, b[None])[0] > 0.005 for a, b in pairwise(early))
    assert all(item.channel == TARGET for item in proposed(runs, 3, {TARGET: 1.0}))


def test_with_merging_the_opening_is_the_experts_and_uniform_and_then_prices():
    costs = {TARGET: 1.0, MERGED: 0.2}
    items = proposed(Runs.none(4), 5, costs)
    assert [item.channel for item in items] == [TARGET] * 5
    assert sorted(item.weights.max() for item in items) == [0.25, 1.0, 1.0, 1.0, 1.0]
    runs = scored(np.array([item.weights for item in items]))
    priced = proposed(runs, 10, costs)
    assert {item.channel for item in priced} == {MERGED}
    assert priced[0].weights == pytest.approx(SPACE.uniform)
    told = {MERGED: scored(np.array([item.weights for item in priced]))}
    after = proposed(Runs(**{**vars(runs), "channels": told}), 1, costs)[0]
    assert after.strategy == "bayes-quadratic"


def test_before_the_last_expert_is_scored_a_free_worker_gets_the_next_run_of_the_design():
    costs = {TARGET: 1.0, MERGED: 0.2}
    experts = np.array([item.weights for item in proposed(Runs.none(4), 5, costs)])
    runs = scored(experts[:4])
    size = opening_size(4, budget := 24)
    more = propose(
        *("bayes-quadratic", SPACE, runs, experts[4:], size - 4, 0), costs=costs, budget=budget
    )
    assert [item.strategy for item in more] == ["opening"] * (size - 5) + ["random"]
    for item in more[:-1]:
        assert item.channel == TARGET
        assert item.weights.max() < 0.9, "a blend: it tells how far merged models carry over"
    # Once all are scored prices come first.
    assert proposed(scored(experts), 1, costs, budget=budget)[0].channel == MERGED


def test_a_domain_alone_is_not_priced_since_its_expert_has_a_score():
    """The best mixture is a corner, which prices would be about."""
    steep = {"slopes": np.array([0.1, 2.0, 0.1, 0.1]), "noise": 0.01}
    runs = scored(np.vstack([SPACE.uniform, np.eye(4)]), **steep)
    told = {MERGED: scored(some(10, 2), level=-1.0, seed=5, **steep)}
    runs = Runs(**{**vars(runs), "channels": told})
    items = proposed(runs, 6, {TARGET: 1.0, MERGED: 0.01})
    priced = [item.weights.max() for item in items if item.channel == MERGED]
    assert priced
    assert max(priced) < 1 - SAME


def test_where_another_study_tells_of_many_mixtures_three_runs_are_enough_to_begin_with():
    told = {"study-old": scored(some(20, 2), level=-1.0, seed=5)}
    few = Runs(**{**vars(scored(some(3, 1))), "channels": told})
    assert proposed(few)[0].strategy == "bayes-quadratic"
    assert proposed(scored(some(3, 1)))[0].strategy == "opening"
