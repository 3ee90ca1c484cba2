"""Every completed trial's objective, kept in memory: 10,000 trials are a fraction of a second.

What is kept is derived from the database; of a study with new results only these are read again.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from db import models
from service.schemas import StudySpec
from service.search.goals import Goal
from service.search.situation import Direction
from service.study import engine_terms, headline
from service.study.headline import Lead, Standing
from service.study.runs import Run, scored

KEPT = 32
"""Studies whose history is kept in memory; the one that came first goes first."""


@dataclass(frozen=True, slots=True)
class History(Standing[Run]):
    """What stands out among the completed trials, and these themselves.

    Attributes:
        runs: by number.
        leads: the best mixture so far when the runs are taken by number.
    """

    runs: tuple[Run, ...]
    leads: tuple[Lead, ...]

    @property
    def n_mixtures(self) -> int:
        """How many different ones were run."""
        return len(self.mixtures)


def of(
    runs: Sequence[Run],
    direction: Direction,
    goal: Goal | None = None,
    allowed: Sequence[Run] | None = None,
    dropped: Collection[str] = (),
) -> History:
    """What stands out among runs that come by number.

    Args:
        goal: what the study wants beside its objective.
        allowed: those whose mixtures the study may still propose; all, unless it was edited.
        dropped: domains that mixtures are to have none of.
    """
    found = headline.standing(runs if allowed is None else allowed, direction, goal, dropped)
    leads = tuple(headline.leads(found.mixtures, direction, goal, dropped))
    return History(
        found.mixtures, found.best, found.uniform, found.gain, runs=tuple(runs), leads=leads
    )


@dataclass(frozen=True, slots=True)
class _Kept:
    revision: int
    version: models.Version
    history: History


@dataclass(slots=True)
class Histories:
    """Histories as they were last read; only what changed since is read again."""

    _kept: dict[int, _Kept] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, session: Session, study: models.Study, spec: StudySpec) -> History:
        """The study's history at its present results."""
        with self._lock:
            kept = self._kept.get(study.id)
        if kept is not None and kept.version == study.version:
            return kept.history
        if kept is None or kept.version._replace(results=study.results) != study.version:
            kept = _Kept(0, study.version, of((), "maximize"))  # what was read holds no more
        fresh, changed = scored(session, study, spec, kept.revision)
        runs = [run for run in kept.history.runs if run.number not in changed] + fresh
        runs.sort(key=lambda run: run.number)
        allowed = engine_terms.allowed(spec, runs) if study.edits else None
        goal = engine_terms.goal(spec)
        history = of(runs, spec.objective.direction, goal, allowed, spec.dropped)
        with self._lock:
            self._kept.pop(study.id, None)
            self._kept[study.id] = _Kept(study.revision, study.version, history)
            while len(self._kept) > KEPT:
                self._kept.pop(next(iter(self._kept)))
        return history
