"""Things made in a thread before they are asked for."""

from __future__ import annotations

from contextlib import closing
from threading import Event, current_thread, main_thread

import pytest

from trainer.run.ahead import Ahead


def test_what_is_expected_is_made_once_in_a_thread_and_the_rest_when_it_is_asked_for():
    made: list[tuple[int, bool]] = []

    def make(number: int) -> int:
        made.append((number, current_thread() is main_thread()))
        return number * number

    with closing(Ahead(make, keep=10)) as ahead:
        assert ahead.get(3) == 9
        ahead.expect([3, 4, 5])
        assert [ahead.get(number) for number in (5, 4, 3)] == [25, 16, 9]
    assert made == [(3, True), (4, False), (5, False)]


def test_without_a_thread_nothing_is_made_ahead():
    made: list[int] = []
    ahead = Ahead(made.append, keep=2, in_thread=False)
    ahead.expect([1, 2])
    assert made == []
    for number in (1, 1, 2, 3, 1):
        ahead.get(number)
    assert made == [1, 2, 3, 1], "two stay"


def test_what_making_raises_is_raised_to_who_asks():
    def make(number: int) -> int:
        raise OSError(f"row {number} is damaged")

    with closing(Ahead(make, keep=2)) as ahead:
        ahead.expect([4])
        with pytest.raises(OSError, match="row 4 is damaged"):
            ahead.get(4)


def test_after_the_end_all_is_made_when_it_is_asked_for():
    begun, go_on = Event(), Event()

    def make(number: int) -> int:
        begun.set()
        assert number != 1 or go_on.wait(10)
        return number

    ahead = Ahead(make, keep=5)
    ahead.expect([1, 2, 3])
    assert begun.wait(10)
    go_on.set()
    ahead.close()
    ahead.expect([4])
    assert [ahead.get(number) for number in (1, 2, 3, 4)] == [1, 2, 3, 4]
