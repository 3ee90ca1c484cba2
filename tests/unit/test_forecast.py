"""When a study ends: true to its pace, and honest about what is not known."""

from __future__ import annotations

import numpy as np
import pytest

from service.dashboard.queries import forecast
from service.dashboard.queries.forecast import Forecast, Pace

STEADY = [60.0] * 20


def of(took=STEADY, lost=0.0, at_work=(0.0,), remaining=10) -> Forecast:
    return forecast.of(Pace(took, lost, at_work), remaining, is_active=True)


def test_steady_runs_end_when_their_times_add_up():
    found = of()
    assert found.median_s == pytest.approx(600, rel=0.02)
    assert found.low_s < found.median_s < found.high_s


def test_more_workers_share_the_runs_and_what_they_have_done_counts():
    assert of(at_work=(0.0, 0.0)).median_s == pytest.approx(300, rel=0.03)
    assert of(at_work=(50.0,), remaining=1).median_s == pytest.approx(10, abs=2)
    # The third of two workers' three runs waits for the first to be free.
    assert of(at_work=(0.0, 0.0), remaining=3).median_s == pytest.approx(120, rel=0.03)


def test_a_run_that_takes_longer_than_any_before_is_not_over_yet():
    found = of(at_work=(500.0,), remaining=1)
    assert 0 <= found.low_s <= found.high_s
    assert np.isfinite(found.high_s)


def test_attempts_that_were_lost_are_foreseen_too():
    assert of(lost=600.0).median_s > 1.4 * of().median_s


def test_few_and_uneven_runs_leave_a_wide_interval():
    few, many = of(took=[30.0, 60.0, 120.0]), of(took=[30.0, 60.0, 120.0] * 10)
    assert few.high_s - few.low_s > 1.5 * (many.high_s - many.low_s)


def test_thousands_of_runs_go_on_at_the_same_pace():
    assert of(remaining=5000).median_s == pytest.approx(300_000, rel=0.05)


def test_intervals_hold_what_they_promise():
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(120):
        times = rng.lognormal(4, 0.4, 8 + 12)
        found = of(took=list(times[:8]), at_work=(0.0,), remaining=12)
        inside += found.low_s <= times[8:].sum() <= found.high_s
    assert 0.8 <= inside / 120 <= 0.98


@pytest.mark.parametrize(
    ("pace", "is_active", "said"),
    [
        (Pace([60.0] * 2, 0.0, [1.0]), True, "needs 3 runs"),
        (Pace(STEADY, 0.0, []), True, "no worker is at work"),
        (Pace(STEADY, 0.0, [1.0]), False, "not active"),
    ],
)
def test_what_cannot_be_known_is_said(pace, is_active, said):
    found = forecast.of(pace, 5, is_active=is_active)
    assert found.median_s is None
    assert said in found.unknown


def test_a_used_budget_needs_no_more_time():
    assert forecast.of(Pace([], 0.0, []), 0, is_active=True).median_s == 0.0
