"""Token buckets: how often a caller may call."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.http.rates import Buckets


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_then_as_many_as_come_in():
    clock = Clock()
    buckets = Buckets(2.0, 3.0, clock)
    assert [buckets.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert buckets.take("b") == 0.0
    clock.now = 0.5
    assert buckets.take("a") == 0.0
    assert buckets.take("a") == 0.5


def test_looking_takes_nothing():
    buckets = Buckets(1.0, 1.0, Clock())
    assert [buckets.take("a", 0) for _ in range(5)] == [0.0] * 5
    assert buckets.take("a") == 0.0
    assert buckets.take("a", 0) == 1.0


@given(st.lists(st.floats(0.0, 2.0), max_size=60))
def test_never_more_than_the_burst_and_what_came_in(pauses):
    clock = Clock()
    buckets = Buckets(5.0, 4.0, clock)
    passed = 0
    for pause in pauses:
        clock.now += pause
        passed += buckets.take("a") == 0.0
    assert passed <= 4.0 + 5.0 * clock.now + 1e-6


def test_only_so_many_callers_are_remembered():
    buckets = Buckets(1.0, 1.0, Clock(), remembered=2)
    for who in "abc":
        assert buckets.take(who) == 0.0
    assert buckets.take("a") == 0.0
    assert buckets.take("c") > 0.0
