"""What is said of a fit: calibration, lessons, confirmations."""

import numpy as np
import pytest
import scipy

from service.search.diagnostics import diagnose
from service.search.health import miscalibrated
from service.search.runs import Runs
from service.search.space import MixtureSpace

SPACE = MixtureSpace.simplex(["a", "b", "c"])
NOISE = 0.02


def truth(X):
    return X @ np.array([0.3, 0.5, 0.4]) + 0.6 * X[:, 0] * X[:, 1]


def runs_at(X, seed=0, sd=NOISE):
    y = truth(X) + NOISE * np.random.default_rng(seed).normal(size=len(X))
    return Runs(X, y, np.full(len(y), sd), y, y)


def test_probabilities_of_left_out_runs_are_uniform_when_the_model_is_right():
    X = SPACE.sample(200, np.random.default_rng(1))
    loo = diagnose("bayes-quadratic", SPACE, runs_at(X), seed=0).loo
    assert scipy.stats.kstest(loo.pit, "uniform").pvalue > 0.01
    assert 0.84 <= loo.coverage_90 <= 0.96


def test_probabilities_turn_with_the_direction():
    X = SPACE.sample(30, np.random.default_rng(1))
    runs = runs_at(X)
    up = diagnose("bayes-quadratic", SPACE, runs, 0, "maximize").loo
    down = diagnose("bayes-quadratic", SPACE, runs.negated(), 0, "minimize").loo
    # The same run is as far up its own forecast as its negation is down.
    assert down.pit == pytest.approx(1 - up.pit, abs=1e-9)
    assert down.mean == pytest.approx(-up.mean, abs=1e-9)


def test_a_mixture_run_again_is_compared_with_what_the_other_runs_promise():
    X = SPACE.sample(14, np.random.default_rng(2))
    peak = np.array([[0.45, 0.55, 0.0]])
    X = np.vstack([X, peak, peak, peak])
    runs = runs_at(X)
    found = diagnose("bayes-quadratic", SPACE, runs, seed=0).confirmations
    assert len(found) == 1
    confirmed = found[0]
    others = Runs(X[:14], runs.score[:14], *[np.full(14, NOISE)] * 3)
    alone = diagnose("bayes-quadratic", SPACE, others, seed=0)
    assert confirmed.n == 3
    assert confirmed.mean == pytest.approx(runs.score[14:].mean())
    assert confirmed.se == pytest.approx(runs.score[14:].std(ddof=1) / np.sqrt(3))
    assert confirmed.optimism == pytest.approx(confirmed.predicted - confirmed.mean)
    assert abs(confirmed.predicted - truth(peak)[0]) < 4 * max(alone.best.sd, NOISE)


def test_optimism_means_too_much_was_promised_in_either_direction():
    X = np.vstack([SPACE.sample(14, np.random.default_rng(2)), [[0.2, 0.3, 0.5]] * 2])
    y = truth(X)
    y[14:] -= 0.2  # worse than all else foretells
    runs = Runs(X, y, np.full(16, NOISE), y, y)
    up = diagnose("bayes-quadratic", SPACE, runs, 0).confirmations[0]
    down = diagnose("bayes-quadratic", SPACE, runs.negated(), 0, "minimize").confirmations[0]
    assert up.optimism == pytest.approx(0.2, abs=0.05)
    assert down.optimism == pytest.approx(up.optimism, abs=1e-9)
    assert down.predicted < down.mean


def test_lessons_are_most_telling_first_and_all_different():
    found = diagnose(
        "bayes-quadratic", SPACE, runs_at(SPACE.sample(8, np.random.default_rng(3))), 0
    )
    gains = [lesson.gain for lesson in found.lessons]
    assert len(gains) == 3
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > 0
    assert len({tuple(lesson.weights) for lesson in found.lessons}) == 3
    assert all(SPACE.contains(lesson.weights) for lesson in found.lessons)


def test_the_chance_of_better_is_high_after_few_runs_and_low_after_many():
    def chance(n):
        X = SPACE.sample(n, np.random.default_rng(4))
        return diagnose("bayes-quadratic", SPACE, runs_at(X), 0).chance_of_better

    assert chance(120) < 0.1
    assert chance(120) <= chance(6)


def test_intervals_that_are_too_narrow_are_named():
    # The runs claim to be a hundred times more exact than they are, and quadsurface believes less.
    rng = np.random.default_rng(0)
    X = SPACE.sample(40, rng)
    y = truth(X) + np.where(rng.random(40) < 0.4, 0.3, 0.0)  # far from any quadratic
    messages = " ".join(diagnose("quadsurface", SPACE, Runs(X, y, y * 0, y, y), 0).messages)
    assert "do not trust the ranking" in messages or "intervals are too" in messages


@pytest.mark.parametrize(
    ("inside", "n", "fault"),
    [
        (10, 10, None),  # 60% likely
        (71, 71, None),
        (72, 72, "wide"),  # 2.5% likely
        (6, 8, None),
        (5, 8, "narrow"),
        (0, 3, "narrow"),
        (90, 100, None),
        (89, 100, "narrow"),
        (99, 100, None),
    ],
)
def test_intervals_are_called_wrong_only_where_chance_would_rarely_do_so(inside, n, fault):
    assert miscalibrated(inside, n) == fault
    tails = [
        scipy.stats.binomtest(inside, n, 0.95, alternative=side).pvalue
        for side in ("less", "greater")
    ]
    assert (min(tails) > 0.025) == (fault is None)


def test_a_few_runs_that_all_lie_inside_their_intervals_are_no_complaint():
    X = SPACE.sample(10, np.random.default_rng(2))
    found = diagnose("bayes-quadratic", SPACE, runs_at(X, seed=4), seed=0)
    assert found.loo.inside_95 == 10
    assert not any("intervals are too" in message for message in found.messages)
