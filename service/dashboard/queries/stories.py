"""What happened to one trial, read from the database in one consistent look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import cost, events, models, trials
from service.schemas import Measurement, StudySpec, Trial
from service.study import views

EVENTS = 200
"""Events shown, the newest: a proposal may have been made anew with every result."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One worker's try at the trial."""

    number: int
    worker: str
    state: str
    claimed_at: datetime
    heard_at: datetime | None
    ended_at: datetime | None
    step: int | None
    total_steps: int | None
    error: str | None

    @property
    def is_live(self) -> bool:
        return self.state == "live"


@dataclass(frozen=True, slots=True)
class Happening:
    """A change of state.

    Attributes:
        replaced: the mixture that a newer proposal took the place of.
        trial: number of the trial, where it is not said by the place.
    """

    at: datetime
    actor: str
    what: str
    attempt: int | None
    error: str | None
    replaced: dict[str, float] | None
    rest: dict[str, Any]
    trial: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A benchmark's last scores by every rule that judged it; the paper's first."""

    benchmark: str
    group: str
    counts: bool
    """Whether the objective weighs it."""
    paper: Measurement | None
    official: Sequence[Measurement]


@dataclass(frozen=True, slots=True)
class Story:
    """A trial with all that is known about it.

    Attributes:
        happenings: the newest events, oldest first; `n_earlier` came before them.
        newest: the highest number of its study.
        gpu_hours: of all its attempts so far.
    """

    study: StudySpec
    trial: Trial
    attempts: Sequence[Attempt]
    happenings: Sequence[Happening]
    n_earlier: int
    rows: Sequence[Row]
    newest: int
    gpu_hours: float

    @property
    def domains(self) -> list[str]:
        return [domain.name for domain in self.study.domains]

    @property
    def mean_weights(self) -> dict[str, float] | None:
        """What an adaptive run's samples were drawn by, in the mean over its steps.

        None of other runs, and where what the worker reported can be no weights of these domains.
        """
        told = self.trial.artifacts.get("mean_weights")
        if not isinstance(told, dict):
            return None
        weights = {name: w for name, w in told.items() if isinstance(w, float | int)}
        try:
            return self.study.weights(weights) if len(weights) == len(told) else None
        except ValueError:
            return None

    @property
    def paused_since(self) -> datetime | None:
        """When the run came to the step that it stands at; None of one that is not paused."""
        return self.attempts[-1].ended_at if self.trial.state == "paused" else None

    @property
    def can_cancel(self) -> bool:
        return self.trial.state in ("queued", "running", "paused")

    @property
    def can_pause(self) -> bool:
        return self.trial.state == "running" and self.trial.asked is None

    @property
    def can_continue(self) -> bool:
        return self.trial.state == "paused"

    @property
    def can_stop(self) -> bool:
        is_running = self.trial.state == "running" and self.trial.asked != "stop"
        return is_running or self.trial.state == "paused"

    @property
    def can_retry(self) -> bool:
        return self.trial.state in ("failed", "cancelled")


def read(session: Session, study: models.Study, number: int) -> Story:
    """All about the trial with this number.

    Raises:
        TrialNotFound: the study has none.
    """
    row = trials.get(session, trials.id_of(session, study, number))
    spec = views.spec(study)
    trial = views.trial(row, spec)
    attempts = session.scalars(
        select(models.Attempt)
        .where(models.Attempt.trial_id == row.id)
        .order_by(models.Attempt.number)
    )
    newest = session.scalar(
        select(func.max(models.Trial.number)).where(models.Trial.study_id == study.id)
    )
    happened = events.of_trial(session, row.id)
    return Story(
        study=spec,
        trial=trial,
        attempts=[_attempt(attempt) for attempt in attempts],
        happenings=[_happening(event) for event in happened[-EVENTS:]],
        n_earlier=max(0, len(happened) - EVENTS),
        rows=rows(spec, trial.measurements),
        newest=newest or number,
        gpu_hours=sum(cost.by_trial(session, study.id, models.Trial.id == row.id).values()),
    )


def last_of_studies(session: Session) -> dict[int, Happening]:
    """What happened last in each study."""
    newest = select(func.max(models.Event.id)).group_by(models.Event.study_id)
    rows = session.execute(
        select(models.Event, models.Trial.number)
        .outerjoin(models.Trial, models.Trial.id == models.Event.trial_id)
        .where(models.Event.id.in_(newest))
    )
    return {event.study_id: _happening(event, number) for event, number in rows}


def _attempt(row: models.Attempt) -> Attempt:
    return Attempt(
        number=row.number,
        worker=row.worker,
        state=row.state,
        claimed_at=row.claimed_at,
        heard_at=row.heard_at,
        ended_at=row.ended_at,
        step=row.step,
        total_steps=row.total_steps,
        error=row.error,
    )


def _happening(event: models.Event, trial: int | None = None) -> Happening:
    shown_apart = ("error", "replaced", "state")
    return Happening(
        at=event.at,
        actor=event.actor,
        what=event.what.replace("-", " "),
        attempt=event.attempt_number,
        error=event.detail.get("error"),
        replaced=event.detail.get("replaced"),
        trial=trial,
        rest={key: value for key, value in event.detail.items() if key not in shown_apart},
    )


def rows(study: StudySpec, measurements: Iterable[Measurement]) -> list[Row]:
    """The last score of each benchmark by each rule, in the study's order of benchmarks."""
    last: dict[tuple[str, str], Measurement] = {}
    for item in measurements:
        known = last.get((item.benchmark, item.rule))
        if known is None or item.step >= known.step:
            last[item.benchmark, item.rule] = item
    counted = study.objective_weights()
    found = []
    for benchmark in study.benchmarks:
        mine = {rule: item for (name, rule), item in last.items() if name == benchmark.name}
        paper = mine.pop("paper", None)
        if paper is None and not mine:
            continue
        official = [mine[rule] for rule in sorted(mine)]
        found.append(
            Row(benchmark.name, benchmark.group, benchmark.name in counted, paper, official)
        )
    return found
