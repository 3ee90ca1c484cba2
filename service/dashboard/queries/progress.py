"""What the chart of progress tells of trials besides their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import cost, models
from db.models import Trial
from db.trial_states import WHOLE
from service.dashboard.queries import boards
from service.schemas import Score, StudySpec
from service.schemas.spec import FULL
from service.study import origins, views
from service.study.origins import Origin

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
        ended: when each trial ended; an added one when it was added.
        gpu_hours: of those that a worker had.
        failed: trials that failed for good.
    """

    origins: Mapping[int, Origin] = field(default_factory=dict)
    ended: Mapping[int, datetime] = field(default_factory=dict)
    gpu_hours: Mapping[int, float] = field(default_factory=dict)
    failed: Sequence[int] = ()
    stopped: Sequence[Stopped] = ()


def read(session: Session, study: models.Study, spec: StudySpec) -> Progress:
    """All of it, in one consistent look."""
    rows = session.execute(
        select(
            Trial.number,
            Trial.state,
            origins.column(),
            func.coalesce(Trial.finished_at, Trial.created_at),
        )
        .where(
            Trial.study_id == study.id,
            Trial.channel == FULL,
            Trial.state.in_((WHOLE, "failed", "early_stopped")),
        )
        .order_by(Trial.number)
    ).all()
    return Progress(
        origins={number: origin for number, state, origin, _ in rows if state == WHOLE},
        ended={number: ended for number, _, _, ended in rows},
        gpu_hours=cost.by_trial(session, study.id),
        failed=[number for number, state, _, _ in rows if state == "failed"][-BESIDE:],
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
