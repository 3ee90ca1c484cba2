"""Writes of calls that come all the time: a few threads do them for all that wait.

A thread for each call would mostly wait for its turn to write, and for the interpreter. On SQLite
one thread does what has come meanwhile in one transaction, since a commit waits for the disk, be it
of one call or of many. On PostgreSQL each thread does so in a transaction a call, and then waits
for the disk once. Nobody is answered before what was written for him is on the disk.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from db.sessions import Database, Failed
from db.turns import TIMEOUT_S

LAST_S = 10.0
"""For what still waits when the service stops."""

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class _Call:
    """What is to be done, and who waits for it."""

    work: Callable[[Session], Any]
    answer: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    came_at: float


class Writer:
    """Writes to one database for coroutines.

    Args:
        timeout_s: how long a call waits at most until its turn comes.
    """

    def __init__(self, database: Database, timeout_s: float = TIMEOUT_S) -> None:
        self._database, self._timeout_s = database, timeout_s
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name="writer", daemon=True)
            for _ in range(database.writers)
        ]
        for thread in self._threads:
            thread.start()

    async def run(
        self, work: Callable[Concatenate[Session, P], T], *args: P.args, **options: P.kwargs
    ) -> T:
        """What `work` of a session and the rest returns, once that is committed; what it raises,
        once it is undone.

        It runs in another thread, in a transaction of its own or in its own part of one; whatever
        becomes of who waits for it.

        Raises:
            PoolTimeout: SQLAlchemy's, its turn did not come in time.
            SQLAlchemyError: the database could not do it, or could not commit it.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._calls.put(
            _Call(lambda session: work(session, *args, **options), answer, loop, time.monotonic())
        )
        return await answer

    def close(self) -> None:
        """Ends after all that came before this, or where the database does not answer, soon."""
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join(timeout=LAST_S)

    def _run(self) -> None:
        while calls := self._next():
            outcomes = self._done(calls)
            for loop in {call.loop for call in calls}:
                mine = [(c, o) for c, o in zip(calls, outcomes, strict=True) if c.loop is loop]
                loop.call_soon_threadsafe(_tell, mine)

    def _next(self) -> list[_Call]:
        """The calls to be done together now; waits for one. None when it is to end."""
        first = self._calls.get()
        calls = [] if first is None else [first]
        while calls and len(calls) < self._database.at_once:
            try:
                further = self._calls.get_nowait()
            except Empty:
                break
            if further is None:
                self._calls.put(None)
                break
            calls.append(further)
        return calls

    def _done(self, calls: Sequence[_Call]) -> list[Any]:
        """What became of each; a failure as `Failed`."""
        latest = time.monotonic() - self._timeout_s
        works = [_give_up if call.came_at < latest else call.work for call in calls]
        try:
            return self._database.write_each(works)
        except Exception as error:  # of the commit, so of all
            return [Failed(error)] * len(calls)


def _give_up(session: Session) -> None:
    raise PoolTimeout("too many writes wait for their turn")


def _tell(outcomes: Sequence[tuple[_Call, Any]]) -> None:
    """Answers those that still wait."""
    for call, outcome in outcomes:
        if call.answer.done():
            continue
        if isinstance(outcome, Failed):
            call.answer.set_exception(outcome.error)
        else:
            call.answer.set_result(outcome)
