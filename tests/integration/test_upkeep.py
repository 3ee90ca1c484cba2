"""Noticing that service or database were away."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from db import leases
from service.proposing import upkeep
from service.proposing.upkeep import AWAY, Upkeep, Watch
from service.settings import Settings

START = datetime(2026, 1, 1, tzinfo=UTC)


def seconds(n: float) -> datetime:
    return START + timedelta(seconds=n)


def test_without_a_break_workers_could_be_heard_since_the_start():
    watch = Watch(START)
    assert [watch.since(seconds(n)) for n in range(0, 100, 5)] == [START] * 20


def test_a_break_starts_the_patience_anew():
    watch = Watch(START)
    watch.since(seconds(5))
    back = seconds(6) + AWAY
    assert watch.since(back) == back
    assert watch.since(back + timedelta(seconds=1)) == back


def test_a_clock_that_is_set_back_starts_the_patience_anew_at_the_time_it_says():
    watch = Watch(START)
    watch.since(seconds(10))
    assert watch.since(seconds(-5000)) == seconds(-5000)
    assert watch.since(seconds(-4999)) == seconds(-5000)


def test_looks_that_overtake_each_other_are_no_break():
    watch = Watch(START)
    watch.since(seconds(10))
    assert watch.since(seconds(8)) == START
    assert watch.since(seconds(11)) == START


def test_what_is_done_at_each_look_is_done_also_when_no_lease_can_be_looked_at(
    database, monkeypatch
):
    def fails(session):
        raise ValueError("a row that makes no sense")

    monkeypatch.setattr(leases, "bound", fails)
    looked = threading.Event()
    own = Upkeep(database, Watch(database.time()), 0.001, looked.set)
    own.start()
    try:
        assert looked.wait(30)
    finally:
        own.stop()


class Stopwatch:
    """Time that passes only where somebody waits for it; over after ten minutes."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def wait(self, timeout):
        self.now += timeout
        return self.now > 600.0


@pytest.mark.parametrize("every_s", [1.0, 20.0, 200.0])
def test_however_long_the_pause_between_looks_it_is_no_break(database, monkeypatch, every_s):
    watch, clock, looked, kept = Watch(START), Stopwatch(), [], []
    monkeypatch.setattr(upkeep, "time", clock)
    own = Upkeep(database, watch, every_s, lambda: None, lambda: kept.append(clock.now))
    monkeypatch.setattr(own, "_stopping", clock)
    monkeypatch.setattr(own, "pulse", lambda: watch.since(seconds(clock.now)))
    monkeypatch.setattr(own, "look", lambda: looked.append(watch.since(seconds(clock.now))))
    own._run()
    assert looked == [START] * int(600 / every_s)
    assert every_s == 1.0 or kept[:3] == [5.0, 10.0, 15.0], "what it proposes for stays its own"


@pytest.mark.parametrize("value", [0, -1, "inf", "nan", 86_401, 1e300])
@pytest.mark.parametrize("name", ["upkeep_every_s", "fit_limit_s"])
def test_a_pause_that_nobody_would_live_to_see_end_is_refused(name, value):
    with pytest.raises(ValidationError):
        Settings(**{name: value})
