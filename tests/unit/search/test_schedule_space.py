"""The space of schedules: mixtures by phase whose mean is a mixture of the study."""

import numpy as np
import pytest

from service.search.limits import LinearLimit
from service.search.runs import Runs
from service.search.schedules import ScheduleSpace, mean_of, of_phases, shares_of
from service.search.space import MixtureSpace, total_variation

DOMAINS = ("a", "b", "c")
SIMPLEX = MixtureSpace.simplex(DOMAINS)
BOUNDED = MixtureSpace(
    DOMAINS,
    np.array([0.1, 0.0, 0.0]),
    np.array([0.6, 0.5, 1.0]),
    (LinearLimit({"b": 1.0, "c": 1.0}, 0.8, "b + c <= 0.8"),),
)
SPACES = [
    pytest.param(ScheduleSpace(SIMPLEX, [0.5, 0.5]), id="any"),
    pytest.param(ScheduleSpace(SIMPLEX, [0.2, 0.3, 0.5]), id="three phases"),
    pytest.param(ScheduleSpace(BOUNDED, [0.3, 0.7]), id="bounded"),
]


@pytest.mark.parametrize("space", SPACES)
def test_what_is_drawn_and_what_is_moved_keeps_shares_and_limits_of_the_mean(space):
    rng = np.random.default_rng(0)
    drawn = space.sample(20, rng)
    moved = space.project(drawn + 0.3 * rng.normal(size=drawn.shape))
    for X in (drawn, moved, space.uniform[None]):
        assert np.all(space.contains(X, 1e-8))
        assert np.allclose(shares_of(X, 3), space.shares)
        assert np.all(space.mixtures.contains(mean_of(X, 3), 1e-8))
    assert np.allclose(space.project(drawn), drawn, atol=1e-8)


def test_a_phase_may_have_what_the_whole_run_may_not():
    space = ScheduleSpace(BOUNDED, [0.3, 0.7])
    first = np.array([0.0, 0.0, 1.0])
    point = np.concatenate([0.3 * first, 0.7 * np.array([0.8, 0.2, 0.0])])
    assert not BOUNDED.contains(first)
    assert space.contains(point)
    assert np.allclose(space.phases(point)[0], first)


def test_a_mixture_is_a_schedule_that_stays_the_same():
    space = ScheduleSpace(SIMPLEX, [0.2, 0.8])
    X = SIMPLEX.sample(5, np.random.default_rng(1))
    points = space.unchanging(X)
    assert np.allclose(mean_of(points, 3), X)
    assert np.allclose(space.phases(points[0]), X[0])
    assert np.allclose(
        total_variation(points[0], points), total_variation(X[0], X)
    )  # the share of the samples that differ, either way


def test_corners_are_those_of_each_phase_where_the_mean_is_free():
    space = ScheduleSpace(SIMPLEX, [0.5, 0.5])
    assert space.has_listed_vertices
    assert len(np.unique(space.vertices(), axis=0)) == 9


def test_dropped_domains_get_nothing_in_any_phase():
    dropped = MixtureSpace(DOMAINS, np.zeros(3), np.array([1.0, 1.0, 0.0]))
    space = ScheduleSpace(dropped, [0.5, 0.5])
    X = space.sample(10, np.random.default_rng(0))
    assert np.all(X.reshape(-1, 2, 3)[:, :, 2] == 0)


def test_a_space_whose_means_fall_outside_is_refused():
    few = MixtureSpace(DOMAINS, np.zeros(3), np.ones(3), max_active=1)
    with pytest.raises(ValueError, match="number of domains"):
        ScheduleSpace(few, [0.5, 0.5])


def test_phases_that_end_elsewhere_are_averaged_over_the_wanted_ones():
    quarters = np.eye(3)[[0, 1, 2, 2]]
    point = of_phases(quarters, np.full(4, 0.25), np.array([0.5, 0.5]))
    assert np.allclose(point, [0.25, 0.25, 0.0, 0.0, 0.0, 0.5])
    same = of_phases(quarters[:2], np.array([0.3, 0.7]), np.array([0.3, 0.7]))
    assert np.allclose(same, [0.3, 0.0, 0.0, 0.0, 0.7, 0.0])
    whole = of_phases(np.array([[0.2, 0.3, 0.5]]), np.ones(1), np.array([0.5, 0.5]))
    assert np.allclose(whole, [0.1, 0.15, 0.25, 0.1, 0.15, 0.25])


def test_runs_are_told_apart_by_their_schedules_not_by_their_means():
    X = np.array([[0.5, 0.5], [0.5, 0.5]])
    points = np.array([[0.25, 0.25, 0.25, 0.25], [0.5, 0.0, 0.0, 0.5]])
    y = np.array([0.4, 0.6])
    runs = Runs(X, y, y, y, y, schedules=points)
    assert not runs.is_one_mixture
    assert runs.without(points[1]).score.tolist() == [0.4]
    with pytest.raises(ValueError, match="schedules have shape"):
        Runs(X, y, y, y, y, schedules=points[:, :3])
