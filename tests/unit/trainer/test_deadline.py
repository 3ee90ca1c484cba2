"""A worker whose machine is taken away at a known time."""

from __future__ import annotations

import time

import pytest

from service.schemas import Measurement
from trainer.job import Progress
from trainer.worker.deadline import HAND_BACK_S, SLOWER, Deadline, Pace

GRACE_S = 60.0


@pytest.fixture
def deadline(monkeypatch):
    """An hour from a clock that stands still."""
    now = 1.9e9
    monkeypatch.setattr(time, "time", lambda: now)
    return Deadline(now + HAND_BACK_S + 3600)


def test_a_trial_is_taken_while_it_can_come_to_its_first_evaluation_point(deadline):
    assert deadline.has_time_for_a_trial(GRACE_S), "nothing is known of its length yet"
    deadline.learn(3000)
    assert deadline.has_time_for_a_trial(GRACE_S)
    deadline.learn(3600)
    deadline.learn(10)
    assert not deadline.has_time_for_a_trial(GRACE_S), "the longest counts"


def test_a_run_is_to_stop_so_early_that_its_longest_step_fits_in(deadline):
    longest = (3600 - GRACE_S) / SLOWER
    pace = Pace(deadline)
    pace.note(Progress("train", 1, 9), 3000)  # its start is no step
    assert pace.last_s(GRACE_S) is None
    pace.note(Progress("train", 2, 9), 3000 + longest - 1)
    assert pace.last_s(GRACE_S) is None
    pace.note(Progress("train", 3, 9), 3000 + 2 * longest)
    pace.note(Progress("train", 4, 9), 3001 + 2 * longest)
    assert pace.last_s(GRACE_S) == 3600


def test_how_long_a_run_took_to_its_first_evaluation_point_is_kept_in_mind(deadline):
    pace = Pace(deadline)
    scores = [Measurement(benchmark="b", score=0.5, samples=9)]
    for step, found in ((0, scores), (1, []), (2, scores), (3, scores)):
        pace.note(Progress("train", step, 9, measurements=found), 100.0 * step)
    assert deadline.needs_s == 200


def test_without_a_known_end_a_run_goes_on():
    pace = Pace(None)
    pace.note(Progress("train", 1, 9), 10)
    assert pace.last_s(GRACE_S) is None
