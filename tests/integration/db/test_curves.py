"""Learning curves: what heartbeats say of a run's steps, over attempts and however long it runs."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import curves, leases, studies, trials
from db.curves import Point, thinned
from db.trials import NewTrial
from tests.integration.db.test_leases import spec

EVERYWHERE = pytest.mark.backends("sqlite", "postgresql")


@pytest.fixture
def held(database):
    """A trial that a worker holds under the token `token-1`."""
    with database.write() as session:
        study, _ = studies.create(session, spec(), "user")
        trial, _ = trials.add(session, study, NewTrial({"a": 1.0}, "queued"), "user")
        leases.claim(session, "w", None, "token-1")
        return trial.id


def beat(database, trial, token, steps, value=0.0):
    with database.write() as session:
        points = [Point(step, {"reward": step + value}) for step in steps]
        leases.heartbeat(session, trial, token, points=points)


def curve(database, trial):
    with database.read() as session:
        return [
            (attempt, point.step, point.metrics)
            for attempt, point in curves.read(session, trials.get(session, trial))
        ]


@EVERYWHERE
def test_points_and_plain_heartbeats_make_one_curve(database, held):
    beat(database, held, "token-1", [2, 1])
    with database.write() as session:
        leases.heartbeat(session, held, "token-1", step=3, metrics={"loss": 0.5})
        leases.heartbeat(session, held, "token-1", step=4)
    assert curve(database, held) == [
        (1, 1, {"reward": 1.0}),
        (1, 2, {"reward": 2.0}),
        (1, 3, {"loss": 0.5}),
    ]


@EVERYWHERE
def test_points_sent_again_change_nothing(database, held):
    beat(database, held, "token-1", [1, 2])
    before = curve(database, held)
    beat(database, held, "token-1", [1, 2], value=9.0)
    assert curve(database, held) == before


@EVERYWHERE
def test_an_attempt_that_goes_on_continues_the_curve_and_replaces_it_from_its_first_step(
    database, held
):
    beat(database, held, "token-1", [1, 2, 3, 4])
    with database.write() as session:
        leases.release(session, held, "token-1")
        leases.claim(session, "w2", None, "token-2")
    beat(database, held, "token-2", [3, 5], value=0.5)
    assert [(attempt, step) for attempt, step, _ in curve(database, held)] == [
        (1, 1),
        (1, 2),
        (2, 3),
        (2, 5),
    ]


@EVERYWHERE
def test_a_long_run_keeps_an_even_selection(database, held):
    for start in range(0, 2000, 100):
        beat(database, held, "token-1", range(start, start + 100))
    steps = [step for _, step, _ in curve(database, held)]
    assert curves.MAX_POINTS / 4 < len(steps) <= curves.MAX_POINTS
    assert steps[0] == 0
    assert steps[-1] == 1999
    gaps = [b - a for a, b in pairwise(steps)]
    assert max(gaps) <= 3 * 2000 / (curves.MAX_POINTS / 2)


@given(st.sets(st.integers(0, 5000), min_size=1), st.integers(1, 50))
def test_a_thinned_curve_is_part_of_the_whole_with_its_last_step(steps, n):
    rising = sorted(steps)
    kept = thinned(rising, n)
    assert len(kept) <= n
    assert kept == sorted(set(kept) & steps)
    assert kept[-1] == rising[-1]
    if n > 1:
        assert kept[0] == rising[0]
