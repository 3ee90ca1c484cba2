"""What the chart of progress tells of trials besides their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import cost, models
from db.models import Trial
from db.trial_states import ENDED, WHOLE
from service.dashboard.queries import boards
from service.schemas import Score, StudySpec
from service.schemas.spec import FULL
from service.study import origins, views
from service.study.origins import Origin

By = Literal["trial", "time", "gpu_hours"]
"""What trials stand along."""

BESIDE = 500
"""Trials that failed, and that were stopped early, that are shown: the newest."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A run that was stopped early, with the objective it had then."""

    number: int
    step: int
    score: Score


@dataclass(frozen=True, slots=True)
class Progress:
    """By the trial's number.

    Attributes:
        origins: of completed runs.
        ended: when each trial ended, an added one when it was added; empty but along time.
        gpu_hours: of those that a worker had; empty but along GPU-hours.
        failed: trials that failed for good.
    """

    origins: Mapping[int, Origin] = field(default_factory=dict)
    ended: Mapping[int, datetime] = field(default_factory=dict)
    gpu_hours: Mapping[int, float] = field(default_factory=dict)
    failed: Sequence[int] = ()
    stopped: Sequence[Stopped] = ()


def read(session: Session, study: models.Study, spec: StudySpec, by: By) -> Progress:
    """What is told of trials along `by`: of thousands, no more is read than that."""
    of_these = (Trial.study_id == study.id, Trial.channel == FULL)
    kinds = session.execute(
        select(Trial.number, origins.column()).where(*of_these, Trial.state == WHOLE)
    )
    failed = session.scalars(
        select(Trial.number)
        .where(*of_these, Trial.state == "failed")
        .order_by(Trial.number.desc())
        .limit(BESIDE)
    )
    ended: dict[int, datetime] = {}
    if by == "time":
        at = func.coalesce(Trial.finished_at, Trial.created_at)
        times = session.execute(select(Trial.number, at).where(*of_these, Trial.state.in_(ENDED)))
        ended = dict(times.all())
    return Progress(
        origins=dict(kinds.all()),
        ended=ended,
        gpu_hours=cost.by_trial(session, study.id) if by == "gpu_hours" else {},
        failed=sorted(failed),
        stopped=_stopped(session, study, spec),
    )


def _stopped(session: Session, study: models.Study, spec: StudySpec) -> list[Stopped]:
    query = boards.of_study(study).where(Trial.state == "early_stopped", Trial.channel == FULL)
    found = []
    for row in session.scalars(query.order_by(Trial.number.desc()).limit(BESIDE)):
        trial = views.trial(row, spec)
        if trial.scores.objective is not None:
            step = max(m.step for m in trial.measurements)
            found.append(Stopped(trial.number, step, trial.scores.objective))
    return found
