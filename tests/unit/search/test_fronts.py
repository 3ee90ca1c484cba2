"""Fronts of several objectives, and the volume below them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.search.fronts import (
    hypervolume,
    improvements,
    knee,
    on_front,
    reference_of,
    thinned,
)


@st.composite
def points(draw):
    """Whole numbers from -1 to 4, so that volumes can be counted."""
    J = draw(st.integers(1, 3))
    rows = st.lists(st.integers(-1, 4), min_size=J, max_size=J)
    return np.array(draw(st.lists(rows, min_size=1, max_size=6)), dtype=float)


def counted(Y):
    """Unit cubes above 0 that a point dominates."""
    corners = product(range(4), repeat=Y.shape[1])
    return sum(bool((np.array(corner) + 1 <= Y).all(axis=1).any()) for corner in corners)


@settings(max_examples=60, deadline=None)
@given(points())
def test_the_volume_is_what_counting_cubes_gives(Y):
    assert hypervolume(Y, np.zeros(Y.shape[1])) == pytest.approx(counted(Y))


@settings(max_examples=60, deadline=None)
@given(points())
def test_a_candidate_adds_what_the_volume_with_it_has_more(Y):
    *known, candidate = Y
    known = np.array(known).reshape(-1, Y.shape[1])
    origin = np.zeros(Y.shape[1])
    more = hypervolume(Y, origin) - hypervolume(known, origin)
    assert improvements(known, candidate[None], origin)[0] == pytest.approx(more)


def test_only_what_nothing_beats_is_on_the_front():
    Y = np.array([[1.0, 1.0], [0.0, 2.0], [1.0, 0.5], [1.0, 1.0]])
    assert list(on_front(Y)) == [True, True, False, True]


def test_with_one_objective_an_improvement_is_what_is_above_the_best():
    gains = improvements(np.array([[2.0], [3.0]]), np.array([[1.0], [5.0]]), np.array([-9.0]))
    assert list(gains) == [0.0, 2.0]


def test_the_reference_is_a_tenth_of_the_front_below_it():
    assert reference_of(np.array([[0.0, 1.0], [1.0, 0.0], [-5.0, -5.0]])) == pytest.approx(-0.1)


def test_the_knee_gives_most_per_point_given_up():
    assert knee(np.array([[0.0, 10.0], [0.9, 9.0], [1.0, 0.0]])) == 1
    assert knee(np.array([[3.0, 3.0]])) == 0


def test_a_thinned_front_keeps_its_ends_and_its_knee():
    x = np.linspace(0, 1, 100)
    Y = np.stack([x, np.sqrt(1 - x**2)], axis=1)
    kept = thinned(Y, 9)
    assert len(kept) == 9
    assert {0, 99, knee(Y)} <= set(kept.tolist())
    assert list(kept) == sorted(kept)
