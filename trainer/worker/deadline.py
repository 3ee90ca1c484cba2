"""When this machine is taken away, as a batch system says, and what can be done before that."""

from __future__ import annotations

import time
from dataclasses import dataclass

from trainer.job import Progress

HAND_BACK_S = 30.0
"""Kept of the time for handing a trial back, after its checkpoint is there."""
SLOWER = 1.5
"""The next step may take so many times as long as the longest so far."""


@dataclass(slots=True)
class Deadline:
    """The end of a machine's time, and how long its trials take to where they may stop.

    Attributes:
        ends_at: by this machine's clock, in seconds since 1970.
        needs_s: from a trial's beginning to its first evaluation point, as far as it is known: what
            the operator says, or the longest that was seen here.
    """

    ends_at: float
    needs_s: float = 0.0

    @property
    def left_s(self) -> float:
        """Until a run must have stopped, in seconds."""
        return self.ends_at - time.time() - HAND_BACK_S

    def learn(self, seconds: float) -> None:
        """Notes how long a trial took to its first evaluation point."""
        self.needs_s = max(self.needs_s, seconds)

    def has_time_for_a_trial(self, grace_s: float) -> bool:
        """Whether one can come to its first evaluation point, and then stop in order."""
        return self.left_s > self.needs_s + grace_s


@dataclass(slots=True)
class Pace:
    """How a run moves towards the end of its machine's time.

    Attributes:
        deadline: None where nobody has said when that is.
    """

    deadline: Deadline | None
    _heard_s: float | None = None
    _silence_s: float = 0.0
    _has_come: bool = False

    def note(self, progress: Progress, after_s: float) -> None:
        """Notes a sign of the run, so many seconds after the trial's beginning."""
        if self._heard_s is not None:
            self._silence_s = max(self._silence_s, after_s - self._heard_s)
        self._heard_s = after_s
        if progress.step and progress.measurements and not self._has_come:
            self._has_come = True
            if self.deadline is not None:
                self.deadline.learn(after_s)

    def last_s(self, grace_s: float) -> float | None:
        """How long a run that is to stop at its next step has for that and its checkpoint, in
        seconds; None while it may go on.

        Args:
            grace_s: what it has for its checkpoint at least.
        """
        if self.deadline is None or self.deadline.left_s > grace_s + SLOWER * self._silence_s:
            return None
        return max(0.0, self.deadline.left_s)
