"""What surrogates learn of runs that change their mixture on the way."""

from dataclasses import replace

import numpy as np
import pytest

from service.search import openings
from service.search.diagnostics import diagnose
from service.search.quadratics import Quadratic
from service.search.runs import Runs
from service.search.schedules import ScheduleSpace, mean_of
from service.search.situation import Situation
from service.search.space import MixtureSpace
from service.search.strategies import propose
from service.search.surrogates import fit
from service.search.surrogates.bayes_quadratic import BayesQuadratic

SIMPLEX = MixtureSpace.simplex(("a", "b", "c"))
SPACE = ScheduleSpace(SIMPLEX, [0.5, 0.5])
NOISE = 0.01
EARLY = np.array([0.10, 0.0, -0.10])
"""How much more each domain is worth early than late."""


def of_mixture(X):
    return 0.4 + X @ np.array([0.1, 0.2, 0.15]) + 0.4 * X[:, 0] * X[:, 2] + 0.2 * X[:, 1] * X[:, 2]


def truth(points, early=EARLY):
    first, last = points[:, :3], points[:, 3:]
    return of_mixture(mean_of(points, 3)) + (first - last) @ early


def runs_at(points, early=EARLY, seed=0):
    y = truth(points, early) + NOISE * np.random.default_rng(seed).normal(size=len(points))
    return Runs(points, y, np.full(len(y), 0.002), y, y)


def as_a_study_has_them(runs):
    """Mean mixtures, with the schedules beside them."""
    return replace(runs, weights=mean_of(runs.weights, 3), schedules=runs.weights)


def schedules(n, seed=0):
    return SPACE.sample(n, np.random.default_rng(seed))


def gain(fitted):
    """Of the best schedule over the best mixture that stays the same, by a fit."""
    rng, nothing = np.random.default_rng(0), np.empty((0, 6))
    plain = SPACE.unchanging(fitted.highest(SIMPLEX, np.empty((0, 3)), rng)[None])
    best = fitted.highest(SPACE, np.vstack([nothing, plain]), rng)
    return fitted.posterior(np.vstack([best, plain])).difference()[0], best


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_what_is_maximised_is_what_is_predicted(power):
    (part,) = BayesQuadratic([power]).fit(SPACE, runs_at(schedules(12)), 0).parts
    X = schedules(5, seed=1)
    for quadratic in (part.mean, part.mean.over(SPACE)):
        assert quadratic(X) == pytest.approx(part.predict(X)[0], abs=1e-9)
        x, step = X[0], 1e-6 * np.eye(6)
        slope = [(quadratic((x + d)[None]) - quadratic((x - d)[None]))[0] / 2e-6 for d in step]
        assert quadratic.gradient(x) == pytest.approx(np.array(slope), abs=1e-5)
    mixtures = SIMPLEX.sample(5, np.random.default_rng(2))
    assert isinstance(part.mean.over(SIMPLEX), Quadratic)
    assert part.mean.over(SIMPLEX)(mixtures) == pytest.approx(part.predict(mixtures)[0], abs=1e-9)


def test_a_mixture_and_the_schedule_that_stays_the_same_are_predicted_alike():
    fitted = fit("bayes-quadratic", SPACE, runs_at(schedules(12)), 0)
    X = SIMPLEX.sample(4, np.random.default_rng(3))
    for one, other in zip(fitted.predict(X), fitted.predict(SPACE.unchanging(X)), strict=True):
        assert one == pytest.approx(other)


def test_plain_runs_are_believed_as_they_are_without_schedules():
    X = SIMPLEX.sample(12, np.random.default_rng(0))
    plain = runs_at(SPACE.unchanging(X))
    with_phases = fit("bayes-quadratic", SPACE, plain, 0)
    without = fit(
        "bayes-quadratic",
        SIMPLEX,
        Runs(X, plain.score, plain.noise_sd, plain.in_score, plain.out_score),
        0,
    )
    new = SIMPLEX.sample(20, np.random.default_rng(1))
    (mean, sd), (wanted, wanted_sd) = with_phases.predict(new), without.predict(new)
    assert np.abs(mean - wanted).max() < 0.05 * wanted_sd.min()
    assert sd == pytest.approx(wanted_sd, rel=0.05)
    _, of_order = with_phases.predict(schedules(20))
    assert of_order.mean() > 1.5 * sd.mean()  # nothing is known of the order


def test_where_the_order_does_nothing_schedules_come_to_promise_nothing():
    few, many = (
        gain(fit("bayes-quadratic", SPACE, runs_at(schedules(n), early=np.zeros(3)), 0))[0]
        for n in (8, 60)
    )
    assert 0 <= many < 0.5 * NOISE
    assert many <= few + 1e-9


def test_where_the_order_matters_the_best_schedule_is_found():
    fitted = fit("bayes-quadratic", SPACE, runs_at(schedules(40)), 0)
    predicted, best = gain(fitted)
    every = schedules(20_000, seed=7)
    possible = truth(every).max()
    static = of_mixture(SIMPLEX.sample(5000, np.random.default_rng(0))).max()
    assert predicted > 0.5 * (possible - static)
    assert truth(best[None])[0] > possible - 0.01
    assert "100% that the order of phases matters" in fitted.kind


def test_what_is_said_of_mixtures_and_of_schedules_comes_from_one_fit():
    plain = SPACE.unchanging(SIMPLEX.sample(6, np.random.default_rng(0)))
    seen = as_a_study_has_them(runs_at(np.vstack([schedules(12), plain])))
    found = diagnose("bayes-quadratic", SIMPLEX, seen, 0, proposed=SPACE)
    assert found.name == "bayes-quadratic"
    assert found.best.weights.shape == (3,)
    assert found.schedule.gain > 0.02
    assert found.schedule.phases.sum(axis=1) == pytest.approx([1, 1])


@pytest.mark.parametrize("name", ["quadsurface", "log-linear"])
def test_surrogates_of_mixtures_alone_refuse_runs_that_changed_theirs(name):
    seen = as_a_study_has_them(runs_at(schedules(12)))
    with pytest.raises(ValueError, match="auto and bayes-quadratic take schedules"):
        fit(name, SIMPLEX, seen, 0)


def test_the_opening_is_of_mixtures_then_of_orders_and_then_what_tells_most():
    nothing = np.empty((0, 6))
    opening = propose("bayes-quadratic", SPACE, Runs.none(6), nothing, 8, seed=0, budget=15)
    points = np.array([item.weights for item in opening])
    plain, ordered = points[:5], points[5:7]
    assert np.allclose(SPACE.unchanging(mean_of(plain, 3)), plain)
    assert np.allclose(plain[0], SPACE.uniform)
    assert opening[5].reason == "to see what the order does: a and c; then b"
    assert opening[6].reason == "to see what the order does: a and b; then c"
    assert np.allclose(SPACE.phases(ordered[1]), [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    told = propose("bayes-quadratic", SPACE, runs_at(points[:7]), nothing, 2, seed=0, budget=15)
    found = np.array([item.weights for item in told])
    assert [item.strategy for item in told] == ["bayes-quadratic"] * 2
    assert np.all(SPACE.contains(found, 1e-8))
    assert np.abs(SPACE.unchanging(mean_of(found, 3)) - found).sum(axis=1).max() > 0.05


@pytest.mark.parametrize(
    ("m", "n_phases", "n"), [(1, 2, 0), (2, 2, 1), (5, 2, 3), (17, 2, 5), (5, 4, 2)]
)
def test_orders_tell_each_domain_from_every_other(m, n_phases, n):
    space = ScheduleSpace(
        MixtureSpace.simplex([str(i) for i in range(m)]), [1 / n_phases] * n_phases
    )
    nothing = Situation(space, Runs.none(space.m), 1.0, {}, np.empty((0, space.m)), seed=0)
    points = np.array([item.weights for item in openings.orders(nothing)])
    assert len(points) == n
    if n:
        places = points.reshape(n, n_phases, m) > 0
        assert len({places[:, :, i].tobytes() for i in range(m)}) == m
