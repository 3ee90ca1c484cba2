"""Things that are made in a thread before they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Ahead(Generic[Made]):
    """What is made from a number, kept for a while.

    Args:
        make: may be called from another thread.
        keep: how many stay, those last made; what was expected goes too, asked for or not.
        in_thread: False makes each when it is asked for.
    """

    def __init__(self, make: Callable[[int], Made], keep: int, *, in_thread: bool = True) -> None:
        self._make, self._keep = make, keep
        self._made: dict[int, Future[Made]] = {}
        self._thread = ThreadPoolExecutor(1, "ahead") if in_thread else None

    def expect(self, numbers: Iterable[int]) -> None:
        """Begins to make what will be asked for next."""
        if self._thread is None:
            return
        for number in numbers:
            if number not in self._made:
                self._made[number] = self._thread.submit(self._make, number)
        self._drop_old()

    def get(self, number: int) -> Made:
        """What is made of a number.

        Raises:
            Exception: the one that making it raised.
        """
        if number not in self._made:
            done: Future[Made] = Future()
            done.set_result(self._make(number))
            self._made[number] = done
            self._drop_old()
        return self._made[number].result()

    def close(self) -> None:
        """Leaves what has not begun; from now on all is made when it is asked for."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=True, cancel_futures=True)
            self._made = {
                number: made for number, made in self._made.items() if not made.cancelled()
            }

    def _drop_old(self) -> None:
        for number in list(self._made)[: -self._keep]:
            del self._made[number]
