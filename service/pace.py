"""How often workers are to send heartbeats: the more there are, the less often each."""

from __future__ import annotations

from db import leases
from db.sessions import Database

LEAST_S = 3.0
"""Heartbeats also carry progress to people, so they do not wait for a long lease to pass."""

BEATS_PER_S = 200.0
"""As many at most, of all workers together. A service on one core takes several times as many, and
has other calls to answer too."""

PER_LEASE = 3.0
"""Heartbeats that a lease always has room for: two may be lost on the way."""


class Pace:
    """The interval of heartbeats, by how many leases are held.

    Args:
        beats_per_s: as many at most, of all workers together.
    """

    def __init__(self, database: Database, beats_per_s: float = BEATS_PER_S) -> None:
        self._database, self._held = database, 0
        self._beats_per_s = beats_per_s

    def look(self) -> None:
        """Counts the leases; called every second or so."""
        with self._database.read() as session:
            self._held = leases.count_held(session)

    def heartbeat_s(self, lease_s: float) -> float:
        """Seconds between the heartbeats under a lease that lasts so long."""
        return min(lease_s / PER_LEASE, max(LEAST_S, self._held / self._beats_per_s))
