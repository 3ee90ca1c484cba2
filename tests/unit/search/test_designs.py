"""Designs: which mixtures to run before anything, or next to what was run."""

from itertools import combinations

import numpy as np
import pytest

from service.search.designs import centroid, lattice, optimal, seed_design
from service.search.limits import LinearLimit
from service.search.openings import opening_size
from service.search.runs import Runs
from service.search.space import MixtureSpace, total_variation
from service.search.strategies import propose

SPACE = MixtureSpace.simplex("abcd")
NOTHING = np.empty((0, 4))


def terms(X):
    """Scheffe's columns: w_i and w_i w_j."""
    pairs = [X[:, i] * X[:, j] for i, j in combinations(range(X.shape[1]), 2)]
    return np.column_stack([X, *pairs])


def weights_of(points):
    return np.array([point.weights for point in points])


def test_the_lattice_has_one_mixture_for_each_term_of_a_quadratic():
    X = weights_of(lattice(SPACE))
    assert X.shape == (10, 4)
    assert np.linalg.matrix_rank(terms(X)) == 10


def test_the_centroid_design_has_every_set_of_domains_once():
    X = weights_of(centroid(SPACE, 4))
    assert len(X) == 2**4 - 1
    assert len(weights_of(centroid(SPACE, 2))) == 4 + 6
    for x in X:
        used = x[x > 0]
        assert used == pytest.approx(np.full(len(used), 1 / len(used)))


@pytest.mark.parametrize("design", ["lattice", "centroid", "d-optimal", "i-optimal"])
def test_designs_keep_to_limits_least_weights_and_the_number_of_domains(design):
    space = MixtureSpace(
        ("a", "b", "c", "d"),
        np.zeros(4),
        np.array([0.6, 1, 1, 1]),
        (LinearLimit.parse("a + 2*b <= 0.8", ("a", "b", "c", "d")),),
        3,
        np.array([0.0, 0.0, 0.1, 0.0]),
    )
    for item in propose(design, space, Runs.none(4), NOTHING, 8, seed=0):
        assert space.contains(item.weights, 1e-12), item.weights
        assert (item.weights > 0).sum() <= 3


def test_a_d_optimal_design_tells_more_about_the_terms_than_seeds_or_samples():
    def information(X):
        # Under a weak prior, so that it is finite for any number of runs.
        sign, value = np.linalg.slogdet(terms(X).T @ terms(X) + 1e-3 * np.eye(10))
        return sign * value

    n = len(seed_design(SPACE))
    chosen = weights_of(optimal(SPACE, n, NOTHING, np.random.default_rng(0), "D"))
    samples = [SPACE.sample(n, np.random.default_rng(seed)) for seed in range(20)]
    assert information(chosen) > information(weights_of(seed_design(SPACE)))
    assert information(chosen) > max(map(information, samples))


def test_an_i_optimal_design_leaves_predictions_more_certain_than_samples_do():
    where = SPACE.sample(2000, np.random.default_rng(5))

    def variance(X):
        inverse = np.linalg.inv(terms(X).T @ terms(X) + 1e-3 * np.eye(10))
        return np.einsum("ij,jk,ik->i", terms(where), inverse, terms(where)).mean()

    chosen = weights_of(optimal(SPACE, 12, NOTHING, np.random.default_rng(0), "I"))
    samples = [SPACE.sample(12, np.random.default_rng(seed)) for seed in range(20)]
    assert variance(chosen) < min(map(variance, samples))


def test_augmenting_goes_where_the_runs_there_are_do_not():
    known = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0.5, 0.5, 0, 0]])
    X = weights_of(optimal(SPACE, 2, known, np.random.default_rng(0), "D"))
    assert np.all(X[:, 2:].sum(axis=1) > 0.4)
    assert all(np.all(total_variation(x, known) > 0.1) for x in X)


def test_replicates_go_to_the_uniform_mixture_and_the_best_run_in_turn():
    X = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    runs = Runs(X, [0.1, 0.3, 0.2], *np.full((3, 3), np.nan))
    proposed = propose("replicates", SPACE, runs, NOTHING, 4, seed=0)
    counts = [int((total_variation(p.weights, X[[1]]) < 1e-9).sum()) for p in proposed]
    # The best was run once already: uniform, then each in turn.
    assert counts in ([0, 0, 1, 0], [0, 1, 0, 1])
    assert "run 0 times so far" in proposed[0].reason
    worst = propose("replicates", SPACE, runs, NOTHING, 3, 0, "minimize")
    assert any(np.array_equal(item.weights, X[0]) for item in worst)


@pytest.mark.parametrize(
    ("m", "budget", "size"),
    [(5, 40, 13), (5, 9, 7), (5, 200, 15), (5, None, 10), (17, 40, 19), (2, 100, 4)],
)
def test_the_opening_takes_a_third_of_the_budget_between_a_plane_and_a_quadratic(m, budget, size):
    assert opening_size(m, budget) == size
