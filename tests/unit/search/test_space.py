"""The geometry of mixtures."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import ks_2samp, kstest

from service.search.space import MixtureSpace, total_variation


@st.composite
def spaces(draw, max_m=6):
    m = draw(st.integers(1, max_m))
    shares = st.lists(st.integers(0, 10), min_size=m, max_size=m)
    lower = np.array(draw(shares)) / (10 * m)
    width = np.array(draw(shares)) / 10
    upper = np.minimum(1.0, lower + width)
    assume(lower.sum() <= 1 <= upper.sum())
    return MixtureSpace(tuple(f"d{i}" for i in range(m)), lower, upper)


points = st.lists(st.floats(-3, 3), min_size=6, max_size=6)


@given(spaces(), points)
def test_a_projection_is_exactly_feasible_and_stays_where_it_is(space, point):
    x = space.project(point[: space.m])
    assert abs(x.sum() - 1) <= 1e-12
    assert np.all(x >= space.lower)
    assert np.all(x <= space.upper)
    assert np.allclose(space.project(x), x, atol=1e-9)


@given(spaces(), st.integers(0, 100))
def test_many_points_are_projected_as_each_alone(space, seed):
    Y = np.random.default_rng(seed).normal(size=(5, space.m))
    assert np.array_equal(space.project(Y), [space.project(y) for y in Y])


@given(spaces(max_m=4), points)
def test_no_feasible_point_is_nearer_than_the_projection(space, point):
    y = np.array(point[: space.m])
    x = space.project(y)
    found = minimize(
        lambda z: ((z - y) ** 2).sum(),
        space.uniform,
        bounds=list(zip(space.lower, space.upper, strict=True)),
        constraints={"type": "eq", "fun": lambda z: z.sum() - 1},
        method="SLSQP",
    )
    assert ((x - y) ** 2).sum() <= found.fun + 1e-6


@given(spaces(), st.integers(0, 100))
def test_samples_are_feasible_and_come_again_with_the_seed(space, seed):
    X = space.sample(7, np.random.default_rng(seed))
    assert X.shape == (7, space.m)
    assert np.all(space.contains(X))
    assert np.array_equal(X, space.sample(7, np.random.default_rng(seed)))


@given(spaces())
def test_corners_are_feasible_and_hold_the_best_of_every_linear_score(space):
    corners = space.vertices()
    assert np.all(space.contains(corners))
    slope = np.arange(1.0, space.m + 1)
    inner = space.sample(50, np.random.default_rng(0))
    assert (corners @ slope).max() >= (inner @ slope).max() - 1e-9


def test_samples_of_the_simplex_have_beta_marginals():
    X = MixtureSpace.simplex("abcde").sample(2000, np.random.default_rng(1))
    assert kstest(X[:, 2], "beta", args=(1, 4)).pvalue > 1e-3


def test_samples_within_tight_bounds_are_spread_like_rejected_ones():
    # 0.4% of the simplex lies within: far too little for the sampler's own rejection.
    space = MixtureSpace(tuple("abcde"), np.zeros(5), np.full(5, 0.25))
    rng = np.random.default_rng(2)
    X = space.sample(1500, rng)
    raw = rng.dirichlet(np.ones(5), size=400_000)
    reference = raw[np.all(raw <= 0.25, axis=1)]
    assert len(reference) > 1000
    for one, other in ((X[:, 0], reference[:, 0]), (X.min(axis=1), reference.min(axis=1))):
        assert ks_2samp(one, other).pvalue > 1e-3
    nearest = np.sort(((X[:, None] - X[None]) ** 2).sum(axis=2), axis=1)[:, 1]
    assert nearest.min() > 0


def test_pinned_domains_keep_their_weight_and_leave_a_smaller_simplex():
    space = MixtureSpace(("a", "b", "c", "d"), np.array([0, 0.3, 0, 0]), np.array([1, 0.3, 0, 1]))
    X = space.sample(500, np.random.default_rng(3))
    assert np.all(X[:, 1] == 0.3)
    assert np.all(X[:, 2] == 0)
    assert kstest(X[:, 0] / 0.7, "uniform").pvalue > 1e-3
    corners = {tuple(corner) for corner in np.round(space.vertices(), 12)}
    assert corners == {(0.7, 0.3, 0, 0), (0, 0.3, 0, 0.7)}


def test_corners_of_bounded_domains_are_those_of_a_known_polytope():
    # The cube's cut through three domains of at most 0.5: the middles of the simplex's edges.
    space = MixtureSpace(("a", "b", "c"), np.zeros(3), np.full(3, 0.5))
    corners = {tuple(corner) for corner in np.round(space.vertices(), 12)}
    assert corners == {(0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)}


def test_the_best_of_a_concave_score_is_found():
    space = MixtureSpace.simplex("abcde")
    goal = np.array([0.4, 0.3, 0.2, 0.1, 0.0])
    best = space.maximise(
        lambda X: -((X - goal) ** 2).sum(axis=1), np.random.default_rng(0), also=np.empty((0, 5))
    )
    assert total_variation(goal, best[None])[0] < 0.02


@pytest.mark.parametrize(
    ("lower", "upper", "message"),
    [
        ([0.6, 0.6], [1, 1], "no mixture satisfies all of: a at least 0.6; b at least 0.6"),
        ([0, 0], [0.4, 0.4], "no mixture satisfies all of: a at most 0.4; b at most 0.4"),
        ([0.5, 0], [0.4, 1], "bounds of 'a' are 0.5 to 0.4"),
        ([-0.1, 0], [1, 1], "bounds of 'a'"),
        ([0], [1, 1], "lower has shape"),
    ],
)
def test_contradicting_bounds_are_refused_by_name(lower, upper, message):
    with pytest.raises(ValueError, match=message):
        MixtureSpace(("a", "b"), np.array(lower), np.array(upper))


def test_total_variation_is_the_share_of_samples_that_differ():
    assert total_variation([1, 0, 0], np.array([[0, 1, 0], [0.5, 0.5, 0]])).tolist() == [1.0, 0.5]
