"""The knowledge gradient: what a run is expected to add to the highest prediction."""

from statistics import NormalDist

import numpy as np
import pytest

from service.search.acquisition import Knowledge
from service.search.runs import Runs
from service.search.space import MixtureSpace, total_variation
from service.search.surrogates import fit
from service.search.surrogates.protocol import Posterior

SPACE = MixtureSpace.simplex("abc")
NORMAL = NormalDist()


def fitted_to(n, seed=0):
    rng = np.random.default_rng(seed)
    X = SPACE.sample(n, rng)
    y = np.sqrt(X) @ np.array([0.2, 0.4, 0.3]) + 0.01 * rng.normal(size=n)
    nothing = np.full(n, np.nan)
    return fit("bayes-quadratic", SPACE, Runs(X, y, np.full(n, 0.01), nothing, nothing), 0)


def test_between_two_mixtures_the_gain_is_that_of_the_textbook():
    # One is known, the other is run: E max(m1, m2 + s Z) - max(m1, m2).
    known, other, sd, noise = 1.0, 0.8, 0.5, 0.3
    X = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    covariance = np.diag([0.0, sd**2])
    belief = Posterior(np.array([known, other]), covariance)
    (gains,) = Knowledge(X, belief, covariance, np.array([noise**2])).gains
    s = sd**2 / np.sqrt(sd**2 + noise**2)
    z = (known - other) / s
    assert gains[1] == pytest.approx(s * (NORMAL.pdf(z) - z * NORMAL.cdf(-z)), rel=0.02)
    assert gains[0] == pytest.approx(0.0, abs=1e-9), "what is known teaches nothing"


def test_what_is_on_its_way_makes_its_neighbours_less_telling():
    fitted, rng = fitted_to(8), np.random.default_rng(1)
    before = Knowledge.gathered(fitted, SPACE, {}, rng)
    best = before.best({})
    after = before.after(best.weights)
    i = int(np.argmin(total_variation(best.weights, before.X)))
    assert after.gains[0, i] < before.gains[0, i]
    assert np.all(np.diag(after.covariance) <= np.diag(before.covariance) + 1e-12)


def test_a_barred_mixture_is_not_chosen():
    fitted = fitted_to(8)
    knowledge = Knowledge.gathered(fitted, SPACE, {}, np.random.default_rng(1))
    first = knowledge.best({}).weights
    second = knowledge.best({"full": first[None]}).weights
    assert total_variation(first, second[None])[0] > 0.005


def test_the_chance_of_something_better_falls_as_runs_come_in():
    def chance(n):
        fitted, rng = fitted_to(n), np.random.default_rng(2)
        return Knowledge.gathered(fitted, SPACE, {}, rng).chance_of_better(0.005, rng)

    assert chance(6) > chance(80)
    assert chance(80) < 0.1


def test_what_candidates_teach_is_computed_once_for_a_choice():
    knowledge = Knowledge.gathered(fitted_to(8), SPACE, {}, np.random.default_rng(1))
    best = knowledge.best({})
    gains = knowledge.gains
    assert best.gain == gains.max()
    assert knowledge.highest({"full": best.weights[None]}).gain in gains
    assert knowledge.gains is gains
    assert knowledge.after(best.weights).gains is not gains, "then it is another's"
