"""Noticing that service or database were away."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from db import leases
from service.upkeep import AWAY, Upkeep, Watch

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
    upkeep = Upkeep(database, Watch(database.time()), 0.001, looked.set)
    upkeep.start()
    try:
        assert looked.wait(30)
    finally:
        upkeep.stop()
