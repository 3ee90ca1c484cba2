"""What the service does at intervals: ends leases that ran out, and notices when it was away."""

from __future__ import annotations

import threading
import time
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

PULSE_S = 5.0
"""Between two looks at the database at most: well below `AWAY`, and below the time that a replica
may be silent before another proposes in its place."""


class Watch:
    """Since when workers have been able to reach service and database, without a break.

    A lease that ran out during a break (restart, database down, laptop asleep) says nothing about
    its worker, so leases only end a whole lease period after this moment.
    """

    def __init__(self, started: datetime) -> None:
        self._since = self._last = started
        self._lock = threading.Lock()

    def since(self, moment: datetime) -> datetime:
        """Notes that all is well at this moment of the database; returns since when."""
        with self._lock:
            if abs(moment - self._last) > AWAY:
                # A break, or a clock that was set; what it said before counts no more.
                self._since = self._last = moment
            self._last = max(self._last, moment)
            return self._since


class Upkeep:
    """A thread that looks after the leases every `every_s` seconds and then calls `on_look`.

    Where that is long, it sees in between, every `PULSE_S` seconds, that the database is there, so
    that a pause between looks does not count as a break, and calls `on_pulse`.
    """

    def __init__(
        self,
        database: Database,
        watch: Watch,
        every_s: float,
        on_look: Callable[[], None],
        on_pulse: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._watch = watch
        self._every_s = every_s
        self._on_look, self._on_pulse = on_look, on_pulse
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

    def pulse(self) -> None:
        """Notes that the database is there."""
        self._watch.since(self._database.time())

    def _run(self) -> None:
        look_at = time.monotonic() + self._every_s
        while True:
            left_s = max(0.0, look_at - time.monotonic())
            if self._stopping.wait(min(PULSE_S, left_s)):
                return
            tasks: tuple[Callable[[], object], ...] = (self.pulse, self._on_pulse)
            if time.monotonic() >= look_at:
                tasks = (self.look, self._on_look)
                look_at = time.monotonic() + self._every_s
            for task in tasks:  # neither must keep the other from being done
                try:
                    task()
                except SQLAlchemyError as error:
                    log.error("upkeep failed, tried again", error=str(error))
                except Exception:
                    log.exception("upkeep failed, tried again")
