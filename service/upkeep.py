"""The service's own clockwork: ends leases that ran out, and notices when it was away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db import leases
from db.sessions import Database

log = structlog.get_logger()

AWAY = timedelta(seconds=15)
"""A longer gap between two looks at the database means that one of the two was not there, or that
the database's clock was set."""


class Watch:
    """Since when workers have been able to reach service and database, without a break.

    A lease that ran out during a break (restart, database down, laptop asleep) says nothing about
    its worker, so leases only end a whole lease period after this moment.
    """

    def __init__(self, started: datetime) -> None:
        self._since = self._last = started
        self._lock = threading.Lock()

    def since(self, time: datetime) -> datetime:
        """Notes that all is well at this time of the database; returns since when."""
        with self._lock:
            if abs(time - self._last) > AWAY:
                # A break, or a clock that was set; what it said before counts no more.
                self._since = self._last = time
            self._last = max(self._last, time)
            return self._since


class Upkeep:
    """A thread that looks after the leases every `every_s` seconds and then calls `on_look`."""

    def __init__(
        self, database: Database, watch: Watch, every_s: float, on_look: Callable[[], None]
    ) -> None:
        self._database = database
        self._watch = watch
        self._every_s = every_s
        self._on_look = on_look
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=10)

    def look(self) -> list[int]:
        """Ends leases that ran out; returns their trials' ids."""
        since = self._watch.since(self._database.time())
        with self._database.write() as session:
            leases.bound(session)
        with self._database.write() as session:
            reaped = leases.reap(session, since)
        if reaped:
            log.warning("leases ran out", trials=reaped)
        return reaped

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            for task in (self.look, self._on_look):  # neither must keep the other from being done
                try:
                    task()
                except SQLAlchemyError as error:
                    log.error("upkeep failed, tried again", error=str(error))
                except Exception:
                    log.exception("upkeep failed, tried again")
