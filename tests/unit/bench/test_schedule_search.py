"""The bench of searches of schedules: the emulator that scores them, and what is reported."""

from __future__ import annotations

import numpy as np
import pytest

from bench import schedule_search as bench


@pytest.fixture(scope="module")
def truth():
    return bench.emulator()


def test_where_the_order_does_nothing_a_schedule_scores_as_its_mean_throughout(truth):
    points = bench.SPACE.sample(20, np.random.default_rng(0))
    plain = bench.SPACE.and_plainer(points)[20:]
    assert np.allclose(truth.score(points, by_order=False), truth.score(plain, by_order=True))
    assert np.ptp(truth.score(points, by_order=True) - truth.score(plain, by_order=True)) > 1


def test_the_best_schedule_is_no_worse_than_the_best_mixture(truth):
    mixture, schedule = truth.best
    assert schedule >= mixture
    assert (
        truth.score(bench.SPACE.sample(200, np.random.default_rng(1)), by_order=True)
    ).max() <= (schedule + 1e-6)


def test_the_report_says_what_schedules_gain_at_equal_cost(truth):
    found = {
        f"{how}/{seed}": {
            "score": {str(n): 60.0 + seed + 2 * (how == bench.MATTERS) for n in bench.ASKED},
            "changing": 0 if how == bench.STATIC else 14,
        }
        for how in bench.ARMS
        for seed in range(3)
    }
    report = bench.report(found, 3, truth)
    assert "| schedules, the order matters | 63.0 ± 2.5 |" in report
    assert "- schedules, the order matters: +2.0 ±" in report
    assert "- schedules, it does not: +0.0 ±" in report
