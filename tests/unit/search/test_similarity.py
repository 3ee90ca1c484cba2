"""Domains that are said to be alike: what a new one starts from, and how far that is trusted."""

import numpy as np
import pytest

from service.search.diagnostics import diagnose
from service.search.health import of_similarity
from service.search.runs import Runs
from service.search.similarity import TRUSTS, Similarity, prior_weights, trust_of
from service.search.space import MixtureSpace
from service.search.strategies import propose
from service.search.surrogates import fit, regression
from service.search.surrogates.bayes_quadratic import BayesQuadratic

NAMES = ("coco", "lisa", "sat", "new")
ALIKE = {("coco", "new"): 0.95}
EFFECTS = np.array([0.6, 0.2, 0.4])


def space(pairs=None):
    m = len(NAMES)
    alike = Similarity.of(NAMES, pairs or {})
    return MixtureSpace(NAMES, np.zeros(m), np.ones(m), similarity=alike)


def runs_of(X, y):
    nothing = np.full(len(y), np.nan)
    return Runs(X, y, nothing, nothing, nothing)


def copied(X):
    """A truth in which the new domain does what the first does."""
    Z = X[:, :3] + np.outer(X[:, 3], [1.0, 0.0, 0.0])
    return Z @ EFFECTS + 0.5 * Z[:, 0] * Z[:, 1]


def unrelated(X):
    """One in which it does nothing of the kind."""
    return X[:, :3] @ EFFECTS - 0.3 * X[:, 3] + 0.5 * X[:, 0] * X[:, 1]


def sampled(truth, n, seed=0, noise=0.01, *, is_new_used=True):
    rng = np.random.default_rng(seed)
    X = rng.dirichlet(np.ones(4 if is_new_used else 3), size=n)
    X = np.hstack([X, np.zeros((n, 4 - X.shape[1]))])
    return runs_of(X, truth(X) + noise * rng.normal(size=n))


NEW_ALONE = np.eye(4)[[3]]
RAW = BayesQuadratic((1.0,))
"""Of raw weights alone, which is quicker."""


def test_nothing_said_is_no_similarity():
    assert space().similarity is None
    assert BayesQuadratic().fit(space(), sampled(copied, 12), 0).trust is None


def test_without_trust_effects_are_independent_and_with_all_of_it_as_the_similarity_says():
    similarity = Similarity.of(NAMES, ALIKE)
    assert np.allclose(similarity.correlation(0.0), np.eye(11))
    full = similarity.correlation(1.0)
    assert np.allclose(np.diag(full), 1)
    assert full[1, 4] == pytest.approx(0.95), "of coco and new alone"
    assert full[1, 2] == pytest.approx(0)
    assert full[5, 9] == pytest.approx(0.95), "of coco and new beside lisa: pairs 01 and 13"
    half = similarity.correlation(0.5)
    assert half[1, 4] == pytest.approx(0.95 / 2)


def test_numbers_that_contradict_each_other_become_a_correlation_near_them():
    similarity = Similarity.of(NAMES[:3], {("coco", "lisa"): 1.0, ("lisa", "sat"): 1.0})
    full = similarity.correlation(1.0)
    assert np.linalg.eigvalsh(full).min() > -1e-9
    assert np.allclose(np.diag(full), 1)
    assert 0.5 < full[1, 2] < 1


@pytest.mark.parametrize("shape", [(5, 9), (20, 4)], ids=["by runs", "by features"])
def test_coefficients_of_a_correlated_prior_are_those_of_the_normal_distribution(shape):
    rng = np.random.default_rng(1)
    F, y = rng.normal(size=shape), rng.normal(size=shape[0])
    noise = rng.uniform(0.1, 1.0, size=shape[0])
    root = rng.normal(size=(shape[1], shape[1] - 1))  # not of full rank
    prior = root @ root.T
    mean, covariance = regression.correlated_coefficients(F, y, prior, noise)
    K = F @ prior @ F.T + np.diag(noise)
    gain = prior @ F.T @ np.linalg.inv(K)
    assert np.allclose(mean, gain @ y)
    assert np.allclose(covariance, prior - gain @ F @ prior)


def test_a_new_domain_starts_from_what_the_one_does_that_it_is_like():
    runs = sampled(copied, 14, is_new_used=False)
    want = float(copied(NEW_ALONE)[0])
    mean, sd = BayesQuadratic().fit(space(), runs, 0).predict(NEW_ALONE)
    told, told_sd = BayesQuadratic().fit(space(ALIKE), runs, 0).predict(NEW_ALONE)
    assert abs(told[0] - want) < abs(mean[0] - want)
    assert told_sd[0] < sd[0]
    assert abs(told[0] - want) < 2 * told_sd[0]


def test_how_far_it_is_trusted_is_learned():
    before = float(prior_weights() @ TRUSTS)
    for seed in range(2):
        right = RAW.fit(space(ALIKE), sampled(copied, 20, seed), 0).trust
        wrong = RAW.fit(space(ALIKE), sampled(unrelated, 20, seed), 0).trust
        assert right.sum() == pytest.approx(1)
        assert trust_of(right).mean > before > trust_of(wrong).mean
        assert trust_of(wrong).mean < 0.2


def test_before_it_is_run_a_new_domain_tells_nothing_of_the_trust_in_it():
    runs = sampled(copied, 14, is_new_used=False)
    trust = RAW.fit(space(ALIKE), runs, 0).trust
    assert np.allclose(trust, prior_weights(), atol=0.1)


@pytest.mark.parametrize("truth", [copied, unrelated])
def test_a_similarity_of_no_use_costs_nothing_by_thirty_runs(truth):
    useless = {("lisa", "sat"): 0.9, ("coco", "sat"): 0.6}
    at = np.random.default_rng(99).dirichlet(np.ones(4), size=200)
    off = {None: [], "told": []}
    for seed in range(4):
        runs = sampled(truth, 30, seed)
        for name, pairs in ((None, {}), ("told", useless)):
            fitted = RAW.fit(space(pairs), runs, 0)
            off[name].append(((fitted.predict(at)[0] - truth(at)) ** 2).mean())
    assert np.sqrt(np.mean(off["told"])) < 1.02 * np.sqrt(np.mean(off[None]))


def test_leaving_out_in_closed_form_is_close_to_fitting_again():
    runs = sampled(copied, 24)
    mean, sd = RAW.fit(space(ALIKE), runs, 0).leave_one_out()
    for i in (3, 17):
        rest = runs.subset(np.arange(24) != i)
        again, spread = RAW.fit(space(ALIKE), rest, 0).predict(runs.weights[i][None], noisy=True)
        assert mean[i] == pytest.approx(float(again[0]), abs=0.3 * sd[i])
        assert sd[i] == pytest.approx(float(spread[0]), rel=0.3)


def test_channels_are_learned_from_with_the_trust_that_the_runs_tell():
    runs = sampled(copied, 12)
    early = sampled(copied, 8, seed=5, is_new_used=False)
    told = Runs(
        *(getattr(runs, f) for f in ("weights", "score", "noise_sd")),
        runs.in_score,
        runs.out_score,
        channels={"step-5": early},
    )
    fitted = BayesQuadratic((1.0,)).fit(space(ALIKE), told, 0)
    alone = BayesQuadratic((1.0,)).fit(space(ALIKE), runs, 0)
    assert np.allclose(fitted.trust, alone.trust)
    assert fitted.channels["step-5"].rho > 0.5
    at = np.random.default_rng(3).dirichlet(np.ones(4), size=30)
    assert np.abs(fitted.predict(at)[0] - copied(at)).max() < 0.05
    highest = fitted.highest(space(ALIKE), runs.weights[:2], np.random.default_rng(0))
    assert fitted.predict(highest[None])[0][0] >= fitted.predict(at)[0].max() - 1e-9


def test_the_trust_is_told_and_a_copy_is_found_to_be_one():
    said = diagnose("bayes-quadratic", space(ALIKE), sampled(copied, 32, noise=0.03), 0).messages
    (trust,) = [line for line in said if line.startswith("The similarity of domains is trusted")]
    assert "where 0 is not at all and 1 as it was given" in trust
    assert any("coco and new are as good as one domain" in line for line in said)


def test_what_is_only_said_to_be_a_copy_is_not_found_to_be_one():
    fitted = RAW.fit(space(ALIKE), sampled(unrelated, 24), 0)
    (said,) = of_similarity(space(ALIKE), fitted)
    assert "trusted" in said


def test_surrogates_that_do_not_use_it_say_so():
    fitted = fit("quadsurface", space(ALIKE), sampled(copied, 24), 0)
    (said,) = of_similarity(space(ALIKE), fitted)
    assert said.startswith("quadsurface does not use how alike domains are said to be")
    assert of_similarity(space(), fitted) == []


def test_benchmarks_of_an_objective_share_it_out():
    runs = sampled(copied, 12)
    both = np.column_stack([runs.score, runs.score + 0.1])
    nothing = np.full(12, np.nan)
    told = Runs(
        runs.weights,
        both.mean(axis=1),
        nothing,
        nothing,
        nothing,
        both,
        np.full((12, 2), 0.01),
        np.array([0.5, 0.5]),
    )
    trust = fit("bayes-quadratic", space(ALIKE), told, 0).trust
    assert trust.sum() == pytest.approx(1)


def test_one_domain_and_two_are_no_trouble():
    two = Similarity.of(NAMES[:2], {("coco", "lisa"): 1.0})
    both = MixtureSpace(NAMES[:2], np.zeros(2), np.ones(2), similarity=two)
    X = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.3, 0.7]])
    fitted = BayesQuadratic().fit(both, runs_of(X, np.array([0.5, 0.51, 0.5, 0.49])), 0)
    assert np.isfinite(fitted.predict(X)[1]).all()
    assert Similarity(np.ones((1, 1))).correlation(1.0).shape == (2, 2)


def test_a_search_proposes_by_it_and_the_same_again():
    runs = sampled(copied, 8, is_new_used=False)
    asked = ("bayes-quadratic", space(ALIKE), runs, np.empty((0, 4)), 1, 3)
    first, again = propose(*asked), propose(*asked)
    assert [item.weights.tolist() for item in first] == [item.weights.tolist() for item in again]


def test_the_space_within_reach_of_samples_knows_it_too():
    narrow = space(ALIKE).within_reach([10, None, None, None], 100)
    assert narrow.similarity is not None
