"""`auto`: surrogates averaged by how likely they make left-out runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.search.surrogates.automatic import AverageFit, LeftOut, average, shares
from service.search.surrogates.bayes_quadratic import BayesQuadratic
from service.search.surrogates.protocol import Posterior, Searched

SPACE = MixtureSpace.simplex("abc")


@dataclass(frozen=True, eq=False)
class Plane(Searched):
    """Foresees all runs at `off` from their scores, with a standard deviation."""

    name: str
    runs: Runs
    off: np.ndarray
    sd: float = 0.1
    n_fitted: int = 0
    kind: str = "a plane"
    noise_sd: float = 0.1

    def predict(self, X, *, noisy=False):
        return X @ np.array([0.1, 0.5, 0.3]) + self.off.mean(), np.full(len(X), self.sd)

    def posterior(self, X):
        mean, sd = self.predict(X)
        return Posterior(mean, np.diag(sd**2))

    def leave_one_out(self):
        return self.runs.score + self.off, np.full(len(self.runs), self.sd)


def runs_of(n, seed=0):
    rng = np.random.default_rng(seed)
    X = SPACE.sample(n, rng)
    nothing = np.full(n, np.nan)
    y = X @ np.array([0.1, 0.5, 0.3]) + 0.01 * rng.normal(size=n)
    return Runs(X, y, nothing, nothing, nothing)


def shares_of(fits):
    return shares(fits[0].runs.score, [LeftOut.of(fitted) for fitted in fits])


def test_surrogates_that_foresee_alike_have_equal_shares():
    runs = runs_of(10)
    same = [Plane(name, runs, np.full(10, 0.05)) for name in ("one", "other")]
    assert shares_of(same) == pytest.approx([0.5, 0.5])


def test_each_has_a_share_where_each_foresees_some_runs_better():
    runs = runs_of(20)
    first = np.where(np.arange(20) < 14, 0.0, 0.3)
    share = shares_of([Plane("one", runs, first), Plane("other", runs, 0.3 - first)])
    assert 0.6 < share[0] < 0.75


def test_few_runs_shut_none_out_and_many_do():
    def worse(n):
        runs = runs_of(n)
        return shares_of([Plane("right", runs, np.zeros(n)), Plane("off", runs, np.full(n, 0.3))])

    assert worse(3)[1] > 0.15
    assert worse(60)[1] < 0.05


def test_a_number_that_was_fitted_counts_against_a_surrogate():
    runs = runs_of(10)
    off = np.full(10, 0.05)
    share = shares_of([Plane("plain", runs, off), Plane("fitted", runs, off, n_fitted=10)])
    assert share[0] > 0.7


def test_one_without_an_interval_has_no_share_and_where_none_has_one_the_first_has_all():
    runs = runs_of(5)
    exact = Plane("exact", runs, np.zeros(5), sd=0.0)
    assert shares_of([Plane("one", runs, np.ones(5)), exact]) == pytest.approx([1, 0])
    assert average([exact, exact]) is exact


def test_the_only_one_with_a_share_answers_as_it_is():
    n = 60
    runs = runs_of(n)
    right = Plane("right", runs, np.zeros(n))
    assert average([right, Plane("off", runs, np.full(n, 1.0))]) is right


def mixed():
    runs = runs_of(6)
    parts = [Plane("low", runs, np.full(6, -0.2)), BayesQuadratic().fit(SPACE, runs, 0)]
    return AverageFit(parts, np.array([0.25, 0.75]))


def test_what_surrogates_differ_by_is_in_the_interval():
    fitted, X = mixed(), SPACE.sample(5, np.random.default_rng(1))
    (m0, s0), (m1, s1) = (part.predict(X) for part in fitted.parts)

    mean, sd = fitted.predict(X)

    assert mean == pytest.approx(0.25 * m0 + 0.75 * m1)
    assert sd**2 == pytest.approx(
        0.25 * s0**2 + 0.75 * s1**2 + 0.25 * 0.75 * (m0 - m1) ** 2, rel=1e-9
    )
    belief = fitted.posterior(X)
    assert belief.mean == pytest.approx(mean)
    assert belief.sd == pytest.approx(sd)


def test_draws_are_of_one_surrogate_each_and_the_best_is_of_their_mean():
    fitted, rng = mixed(), np.random.default_rng(2)

    drawn = fitted.maxima(SPACE, 9, fitted.runs.weights, rng)
    best = fitted.highest(SPACE, fitted.runs.weights, rng)

    assert drawn.shape == (9, 3)
    assert SPACE.contains(drawn).all()
    everywhere = fitted.predict(SPACE.sample(500, rng))[0]
    assert fitted.predict(best[None])[0][0] >= everywhere.max() - 1e-6


def test_the_order_of_runs_does_not_matter():
    rng = np.random.default_rng(3)
    runs, off = runs_of(12), rng.normal(scale=0.2, size=(2, 12))
    turned = rng.permutation(12)
    there = shares_of([Plane(str(i), runs, each) for i, each in enumerate(off)])
    back = shares_of([Plane(str(i), runs, each[turned]) for i, each in enumerate(off)])
    # Each is foreseen at the same distance whatever its row.
    assert there == pytest.approx(back)
