"""Every completed trial's objective, read in few columns: 10,000 trials are a fraction of a second.

The service's own `evidence` loads whole trials, which a page that only draws a curve need not wait
for. What is kept here is derived from the database and thrown away when the study has new results.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import models
from service.schemas import Measurement, Score, StudySpec
from service.search.situation import Direction
from service.study import headline
from service.study.evidence import SCORED
from service.study.headline import Lead, Tried

KEPT = 32
"""Studies whose history is kept in memory; the one that came first goes first."""


@dataclass(frozen=True, slots=True)
class Run:
    """A completed trial with its objective, a fraction."""

    trial: int
    number: int
    mixture: dict[str, float]
    score: Score


@dataclass(frozen=True, slots=True)
class History:
    """The completed trials by number, and what stands out among them.

    Attributes:
        n_mixtures: how many different ones they are.
        best: the mixture to train.
        leads: the best mixture so far when the runs are taken by number.
        uniform: the runs with equal weights.
        gain: best over uniform in the objective's direction, with its standard error; None where
            there is no uniform run, or it is itself the best.
    """

    runs: tuple[Run, ...]
    n_mixtures: int
    best: Tried[Run] | None
    leads: tuple[Lead, ...]
    uniform: Tried[Run] | None
    gain: Score | None


def of(runs: Sequence[Run], direction: Direction) -> History:
    """What stands out among runs that come by number."""
    found = headline.tried(runs)
    best, uniform = headline.train_this(found, direction), headline.uniform(found)
    gain = None
    if best is not None and uniform is not None and best is not uniform:
        gain = headline.gain_over(uniform.score, best.score, direction)
    leads = tuple(headline.leads(found, direction))
    return History(tuple(runs), len(found), best, leads, uniform, gain)


def read(
    session: Session, study: models.Study, spec: StudySpec, after: int = 0
) -> tuple[list[Run], set[int]]:
    """Runs that changed after a revision, and the numbers of all trials that did.

    Trials without all benchmarks of the objective are no runs.
    """
    changed = (models.Trial.study_id == study.id, models.Trial.revision > after)
    weights = spec.objective_weights()
    measured: dict[int, dict[str, Measurement]] = defaultdict(dict)
    rows = session.execute(
        select(
            models.Measurement.trial_id,
            models.Measurement.benchmark,
            models.Measurement.score,
            models.Measurement.samples,
            models.Measurement.se,
        )
        .join(models.Trial, models.Trial.id == models.Measurement.trial_id)
        .where(
            *changed,
            models.Trial.state.in_(SCORED),
            models.Measurement.replicate == "",
            models.Measurement.is_superseded.is_(False),
            models.Measurement.rule == "paper",
            models.Measurement.benchmark.in_(weights),
        )
        .order_by(models.Measurement.step, models.Measurement.id)
    )
    for trial, benchmark, score, samples, se in rows:
        # Checked when it was stored; checking again would take most of the time.
        measured[trial][benchmark] = Measurement.model_construct(
            benchmark=benchmark, score=score, samples=samples, step=0, se=se, rule="paper"
        )
    trials = session.execute(
        select(models.Trial.id, models.Trial.number, models.Trial.state, models.Trial.mixture)
        .where(*changed)
        .order_by(models.Trial.number)
    ).all()
    runs = [
        Run(trial, number, mixture, Score.weighted(measured[trial].values(), weights))
        for trial, number, state, mixture in trials
        if state in SCORED and len(measured[trial]) == len(weights)
    ]
    return runs, {number for _, number, _, _ in trials}


@dataclass(frozen=True, slots=True)
class _Kept:
    revision: int
    results: int
    history: History


@dataclass(slots=True)
class Histories:
    """Histories as they were last read; only what changed since is read again."""

    _kept: dict[int, _Kept] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, session: Session, study: models.Study, spec: StudySpec) -> History:
        """The study's history at its present results."""
        with self._lock:
            kept = self._kept.get(study.id, _Kept(0, 0, of((), "maximize")))
        if kept.results == study.results:
            return kept.history
        fresh, changed = read(session, study, spec, kept.revision)
        runs = [run for run in kept.history.runs if run.number not in changed] + fresh
        runs.sort(key=lambda run: run.number)
        history = of(runs, spec.objective.direction)
        with self._lock:
            self._kept.pop(study.id, None)
            self._kept[study.id] = _Kept(study.revision, study.results, history)
            while len(self._kept) > KEPT:
                self._kept.pop(next(iter(self._kept)))
        return history
