"""Which states of a trial mean the same to others; `states.py` says what may follow each.

It needs no library, so the command line has it in every install.
"""

from __future__ import annotations

FULL = "completed"
"""The state of trials whose scores are those of a whole run."""
RESULTS = frozenset({FULL, "early_stopped"})
"""States of trials that ended with scores; `Study.results` counts them."""
ENDED = RESULTS | {"failed", "cancelled"}
UNDER_WAY = ("queued", "running", "paused")
"""States of trials whose scores are still to come."""
