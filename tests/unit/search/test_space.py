"""The geometry of mixtures."""

import numpy as np
import pytest
import scipy
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize

from service.search.limits import LinearLimit
from service.search.space import MixtureSpace, expected_steps, total_variation


@st.composite
def limited_spaces(draw, is_convex=False):
    """Spaces with linear limits, active domains and least weights, around a point they hold."""
    m = draw(st.integers(2, 5))
    domains = tuple("abcde"[:m])
    raw = np.array(draw(st.lists(st.integers(0, 5), min_size=m, max_size=m)), dtype=float)
    assume(raw.sum() > 0)
    inside = raw / raw.sum()
    limits = []
    for k in range(draw(st.integers(0, 2))):
        row = np.array(draw(st.lists(st.integers(-2, 2), min_size=m, max_size=m)), dtype=float)
        slack = draw(st.integers(0, 3)) / 10
        coefficients = dict(zip(domains, row.tolist(), strict=True))
        limits.append(LinearLimit(coefficients, float(row @ inside) + slack, f"limit {k}"))
    used = int((inside > 0).sum())
    if is_convex:
        return MixtureSpace(domains, np.zeros(m), np.ones(m), tuple(limits))
    max_active = draw(st.sampled_from([None, used, min(m, used + 1)]))
    least = np.where(inside > 0, np.minimum(inside, draw(st.integers(0, 3)) / 10), 0.3)
    width = draw(st.integers(0, 5)) / 5
    upper = np.minimum(1.0, inside + width + 1e-3)
    return MixtureSpace(domains, np.zeros(m), upper, tuple(limits), max_active, least)


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
    assert scipy.stats.kstest(X[:, 2], "beta", args=(1, 4)).pvalue > 1e-3


def test_samples_within_tight_bounds_are_spread_like_rejected_ones():
    # 0.4% of the simplex lies within: far too little for the sampler's own rejection.
    space = MixtureSpace(tuple("abcde"), np.zeros(5), np.full(5, 0.25))
    rng = np.random.default_rng(2)
    X = space.sample(1500, rng)
    raw = rng.dirichlet(np.ones(5), size=400_000)
    reference = raw[np.all(raw <= 0.25, axis=1)]
    assert len(reference) > 1000
    for one, other in ((X[:, 0], reference[:, 0]), (X.min(axis=1), reference.min(axis=1))):
        assert scipy.stats.ks_2samp(one, other).pvalue > 1e-3
    nearest = np.sort(((X[:, None] - X[None]) ** 2).sum(axis=2), axis=1)[:, 1]
    assert nearest.min() > 0


def test_pinned_domains_keep_their_weight_and_leave_a_smaller_simplex():
    space = MixtureSpace(("a", "b", "c", "d"), np.array([0, 0.3, 0, 0]), np.array([1, 0.3, 0, 1]))
    X = space.sample(500, np.random.default_rng(3))
    assert np.all(X[:, 1] == 0.3)
    assert np.all(X[:, 2] == 0)
    assert scipy.stats.kstest(X[:, 0] / 0.7, "uniform").pvalue > 1e-3
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
        ([0.5, 0], [0.4, 1], "bounds of 'a' are in the wrong order: the lower one, 0.5"),
        ([-0.1, 0], [1, 1], "bounds of 'a'"),
        ([0], [1, 1], "lower has shape"),
    ],
)
def test_contradicting_bounds_are_refused_by_name(lower, upper, message):
    with pytest.raises(ValueError, match=message):
        MixtureSpace(("a", "b"), np.array(lower), np.array(upper))


def test_total_variation_is_the_share_of_samples_that_differ():
    assert total_variation([1, 0, 0], np.array([[0, 1, 0], [0.5, 0.5, 0]])).tolist() == [1.0, 0.5]


@given(limited_spaces(), points)
def test_with_limits_a_projection_is_feasible_and_stays_where_it_is(space, point):
    x = space.project(point[: space.m])
    assert space.contains(x, 1e-9)
    assert abs(x.sum() - 1) <= 1e-12
    assert np.all((x >= space.relaxed.lower) & (x <= space.upper))
    assert np.allclose(space.project(x), x, atol=1e-7)
    assert space.broken_by(x) == []


@given(limited_spaces(is_convex=True), points)
def test_with_linear_limits_no_feasible_point_is_nearer_than_the_projection(space, point):
    y = np.array(point[: space.m])
    A, b = space.relaxed.A, space.relaxed.b
    found = minimize(
        lambda z: ((z - y) ** 2).sum(),
        space.relaxed.centre,
        bounds=[(0, 1)] * space.m,
        constraints=[
            {"type": "eq", "fun": lambda z: z.sum() - 1},
            {"type": "ineq", "fun": lambda z: b - A @ z},
        ][: 1 + bool(len(b))],
        method="SLSQP",
    )
    assume(space.contains(found.x, 1e-7))
    assert ((space.project(y) - y) ** 2).sum() <= found.fun + 1e-5


@given(limited_spaces(), st.integers(0, 100))
def test_with_limits_samples_and_corners_are_feasible(space, seed):
    inner = space.sample(20, np.random.default_rng(seed))
    assert np.all(space.contains(inner, 1e-9))
    if space.has_listed_vertices:
        corners = space.vertices()
        assert np.all(space.contains(corners, 1e-8))
        slope = np.arange(1.0, space.m + 1)
        assert (corners @ slope).max() >= (inner @ slope).max() - 1e-7


def test_of_many_domains_only_so_many_are_used_the_nearest_ones():
    space = MixtureSpace(tuple("abcd"), np.zeros(4), np.ones(4), max_active=2)
    x = space.project([0.4, 0.1, 0.3, 0.2])
    assert np.allclose(x, [0.55, 0, 0.45, 0])
    assert space.sample(200, np.random.default_rng(0)).astype(bool).sum(axis=1).max() == 2


def test_samples_reach_every_choice_of_domains_that_is_possible():
    names = ("a", "b", "c", "d")
    # Without `a` nothing is possible: the rest may have 0.9 together.
    limit = LinearLimit.parse("b + c + d <= 0.9", names)
    space = MixtureSpace(names, np.zeros(4), np.ones(4), (limit,), max_active=2)
    X = space.sample(300, np.random.default_rng(0))
    assert np.all(space.contains(X, 1e-12))
    assert {tuple(np.flatnonzero(x)) for x in X} == {(0, 1), (0, 2), (0, 3)}


def test_where_the_heaviest_domains_do_not_do_the_nearest_choice_that_does_is_taken():
    names = ("a", "b", "c", "d")
    limit = LinearLimit.parse("b + c + d <= 0.9", names)
    space = MixtureSpace(names, np.zeros(4), np.ones(4), (limit,), max_active=2)
    assert space.project([0.0, 0.1, 0.3, 0.6]) == pytest.approx([0.25, 0, 0, 0.75], abs=0.2)
    x = space.project([0.0, 0.1, 0.3, 0.6])
    assert list(np.flatnonzero(x)) == [0, 3]


def test_a_domain_gets_nothing_or_at_least_its_least_weight():
    space = MixtureSpace(tuple("abc"), np.zeros(3), np.ones(3), zero_or_at_least=np.full(3, 0.2))
    assert np.allclose(space.project([0.05, 0.35, 0.6]), [0, 0.375, 0.625])
    assert np.allclose(space.project([0.15, 0.35, 0.5]), [0.2, 0.325, 0.475])
    X = space.sample(300, np.random.default_rng(0))
    assert np.all((X == 0) | (X >= 0.2))
    assert np.any(X == 0)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"max_active": 2, "upper": np.full(4, 0.3)}, ["a at most 0.3", "at most 2 active"]),
        ({"lower": np.array([0.6, 0, 0, 0]), "upper": np.array([1, 1, 1, 1]),
          "limits": ("a + b <= 0.5",)}, ["a at least 0.6", "'a + b <= 0.5'"]),
        ({"limits": ("a + b <= 0.3", "c + d <= 0.4")}, ["'a + b <= 0.3'", "'c + d <= 0.4'"]),
        ({"lower": np.full(4, 0.01), "zero_or_at_least": np.full(4, 0.3)}, ["zero or at least"]),
    ],
)  # fmt: skip
def test_what_contradicts_each_other_is_named_and_nothing_else(changes, named):
    limits = tuple(LinearLimit.parse(text, "abcd") for text in changes.pop("limits", ()))
    wanted = {"lower": np.zeros(4), "upper": np.ones(4)} | changes
    with pytest.raises(ValueError, match="no mixture satisfies all of") as refused:
        MixtureSpace(tuple("abcd"), limits=limits, **wanted)
    for part in named:
        assert part in str(refused.value)


def test_limits_are_read_as_they_are_written():
    limit = LinearLimit.parse("coco-2017 + 2*lisa - .5 sat >= -0.1", ["coco-2017", "lisa", "sat"])
    assert limit.coefficients == {"coco-2017": -1.0, "lisa": -2.0, "sat": 0.5}
    assert limit.at_most == 0.1
    for wrong in ("coco <= 1", "lisa", "lisa == 1", "lisa + <= 1", "2 <= 1", "lisa <= x"):
        with pytest.raises(ValueError, match="is not of the form"):
            LinearLimit.parse(wrong, ["lisa", "sat"])


def test_reach_bounds_a_domain_by_its_samples():
    space = MixtureSpace.simplex(["lisa", "sat"]).within_reach([1326, 15000], prompts=4000)
    assert space.upper[0] == pytest.approx(1326 / 4000)
    with pytest.raises(ValueError, match="lisa, sat are limited by their samples"):
        MixtureSpace.simplex(["lisa", "sat"]).within_reach([100, 200], prompts=4000)


def test_a_run_of_lisa_alone_ends_near_step_663():
    steps, first = expected_steps(np.array([0.0, 1.0]), [5997, 1326], prompts_per_step=2)
    assert (steps, first) == (663, 1)
    assert expected_steps(np.array([1.0, 0.0]), [None, 1326], 2)[1] is None


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.9, 0.1, "are in the wrong order: the lower one, 0.9, is above the upper one, 0.1"),
        (-0.1, 0.5, "are -0.1 to 0.5, not within 0 to 1"),
        (0.5, 1.5, "are 0.5 to 1.5, not within 0 to 1"),
        (float("nan"), 0.5, "not within 0 to 1"),
    ],
)
def test_bounds_that_cannot_be_are_said_with_what_is_wrong(low, high, words):
    with pytest.raises(ValueError, match=f"bounds of 'b' .*{words}"):
        MixtureSpace(("a", "b"), np.array([0.0, low]), np.array([1.0, high]))
