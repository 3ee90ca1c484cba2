"""The best mixture of a quadratic."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.search.limits import LinearLimit
from service.search.quadratics import Blend, Quadratic, climb, has_few_faces, maximise
from service.search.space import MixtureSpace


def quadratic(m, seed, power=1.0):
    rng = np.random.default_rng(seed)
    B = rng.normal(size=(m, m))
    return Quadratic(float(rng.normal()), rng.normal(size=m), B + B.T, power)


@cache
def space_of(kind):
    m, names = 4, tuple("abcd")
    everything = {
        "simplex": {},
        "upper": {"upper": np.full(m, 0.45)},
        "limits": {"limits": (LinearLimit.parse("a + b <= 0.4", names),)},
        "active": {"max_active": 2},
        "steps": {"zero_or_at_least": np.full(m, 0.3)},
    }[kind]
    return MixtureSpace(names, np.zeros(m), **({"upper": np.ones(m)} | everything))


@cache
def samples_of(kind):
    return space_of(kind).sample(2000, np.random.default_rng(0))


KINDS = ["simplex", "upper", "limits", "active", "steps"]


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10_000))
def test_nothing_in_the_space_beats_the_exact_maximum(kind, seed):
    space, f = space_of(kind), quadratic(4, seed)
    best = maximise(f, space)
    assert best.is_exact
    assert space.contains(best.weights)
    assert best.value == pytest.approx(float(f(best.weights[None])[0]))
    assert f(samples_of(kind)).max() <= best.value + 1e-9
    assert best.gap <= 1e-6, "level to first order"


@given(seed=st.integers(0, 10_000), power=st.sampled_from([1.0, 0.5, 0.25]))
def test_a_climb_ends_no_lower_than_it_starts_and_where_nothing_is_steep(seed, power):
    space, f = space_of("simplex"), quadratic(4, seed, power)
    starts = space.sample(64, np.random.default_rng(seed))
    found = climb(f, space, starts)
    assert found.value >= f(starts).max()
    assert space.contains(found.weights)


def test_the_maximum_of_a_concave_quadratic_is_where_its_gradient_is_level():
    centre = np.array([0.2, 0.3, 0.5])
    f = Quadratic(0.0, 2 * centre, -2 * np.eye(3))  # -|x - centre|^2, up to a constant
    assert np.allclose(maximise(f, MixtureSpace.simplex("abc")).weights, centre)


def test_square_roots_have_the_maximum_of_lagrange():
    # sum a_i sqrt(w_i) is highest at w_i proportional to a_i^2.
    a = np.array([1.0, 2.0, 3.0])
    space = MixtureSpace.simplex("abc")
    found = climb(Quadratic(0.0, a, np.zeros((3, 3)), 0.5), space, space.uniform[None])
    assert np.allclose(found.weights, a**2 / (a**2).sum(), atol=1e-3)


def test_a_blend_is_the_weighted_sum_of_its_parts_and_their_slopes():
    parts = [quadratic(3, 1), quadratic(3, 2, 0.5)]
    blend = Blend(parts, np.array([0.3, 0.7]))
    x = np.array([0.2, 0.3, 0.5])
    assert blend(x[None])[0] == pytest.approx(
        0.3 * parts[0](x[None])[0] + 0.7 * parts[1](x[None])[0]
    )
    step = 1e-6 * np.eye(3)
    slope = [(blend((x + d)[None])[0] - blend((x - d)[None])[0]) / 2e-6 for d in step]
    assert np.allclose(blend.gradient(x), slope, atol=1e-5)


def test_seventeen_domains_have_few_enough_faces_and_seventeen_bounded_ones_too_many():
    names = tuple("abcdefghijklmnopq")
    assert has_few_faces(MixtureSpace.simplex(names))
    assert not has_few_faces(MixtureSpace(names, np.zeros(17), np.full(17, 0.2)))


def test_roots_have_no_exact_maximum():
    with pytest.raises(ValueError, match="raw weights"):
        maximise(quadratic(3, 0, 0.5), MixtureSpace.simplex("abc"))
