"""Stored rows as the wire shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal, cast

from db import curves, models, owners, specs, studies, tags
from db.clock import HOUR_S
from db.curves import Point
from db.measurements import Reading
from db.specs import IN_COLUMNS
from service.schemas import (
    Channel,
    Curve,
    Measurement,
    Origin,
    Owner,
    Phase,
    Proposal,
    Study,
    StudySpec,
    StudyState,
    Trial,
    TrialState,
)

MAX_NAMES = 500
MAX_VALUES = 50_000
"""Of a curve in one answer, which keeps it below 1 MB."""


def spec(row: models.Study) -> StudySpec:
    """The study's specification as it holds now."""
    now = {name: getattr(row, name) for name in IN_COLUMNS}
    now["search"] = specs.search(row.spec, row.channels, early_stopping=row.early_stopping)
    return StudySpec.model_validate(row.spec | now)


@lru_cache(maxsize=256)
def stored_spec(stored: specs.Stored) -> StudySpec:
    """The same, kept: calls of workers are about the same few studies all the time. Not to be
    changed."""
    at_first, now = specs.parts(stored)
    return StudySpec.model_validate(at_first | now)


@lru_cache(maxsize=256)
def first_name(stored: specs.Stored) -> str:
    """What the study was called when it was made."""
    return str(specs.parts(stored)[0]["name"])


def study(row: models.Study, counts: dict[str, int]) -> Study:
    described = spec(row)
    return Study.model_validate(
        described.model_dump()
        | {
            "state": state(row, counts),
            "owner": row.owner,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "trials": {name: counts.get(name, 0) for name in models.TRIAL_STATES},
            "planned": row.planned,
            "gpu_hours_used": row.gpu_s / HOUR_S,
            "attached": row.attached,
            "merged": row.merged,
            "unspent": row.unspent,
            "baseline_scores": described.scores(described.baseline),
        }
    )


def owner(found: owners.Usage) -> Owner:
    return Owner(
        name=found.name,
        gpu_hours=found.gpu_hours,
        used=found.used,
        running=found.running,
        studies=found.studies,
    )


def state(row: models.Study, counts: dict[str, int]) -> StudyState:
    """What the study is told to be: also finished when its budget is used and all has ended, until
    the budget is raised or a trial is queued."""
    is_done = row.state == "active" and studies.is_done(row, counts)
    return cast(StudyState, "finished" if is_done else row.state)


def trial(row: models.Trial, described: StudySpec) -> Trial:
    """A trial loaded with its study, newest attempt and measurements."""
    attempt = row.attempt
    is_counting = attempt is not None and attempt.state in ("live", "completed")
    is_live = attempt is not None and attempt.state == "live"
    own = [measurement(m) for m in row.measurements if not (m.replicate or m.is_superseded)]
    return Trial(
        id=row.id,
        study=described.name,
        number=row.number,
        state=cast(TrialState, row.state),
        origin=cast(Origin, row.origin),
        mixture=row.mixture,
        seed=row.seed,
        proposal=None if row.proposal is None else Proposal.model_validate(row.proposal),
        attempts=row.failures + is_counting,
        worker=None if attempt is None or row.state in ("queued", "paused") else attempt.worker,
        lease_until=attempt.until if attempt is not None and is_live else None,
        step=attempt.step if attempt is not None else None,
        total_steps=attempt.total_steps if attempt is not None else None,
        metrics=attempt.metrics if attempt is not None else {},
        measurements=own,
        replicates=[measurement(m) for m in row.measurements if m.replicate],
        scores=described.scores(own),
        wall_s=row.wall_s,
        artifacts=row.artifacts,
        error=row.error,
        note=row.note,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        revision=row.revision,
        stop_at=row.stop_at,
        asked=cast(Literal["pause", "stop"] | None, row.asked),
        asked_why=row.asked_why,
        channel=cast(Channel, row.channel),
        tags=tags.parted(row.tags),
        schedule=None if row.schedule is None else [Phase.model_validate(p) for p in row.schedule],
    )


def measurement(row: models.Measurement) -> Measurement:
    return Measurement(
        benchmark=row.benchmark,
        score=row.score,
        samples=row.samples,
        step=row.step,
        rule=row.rule,
        se=row.se,
    )


def readings(measurements: Iterable[Measurement]) -> list[Reading]:
    """Measurements as storage takes them."""
    return [Reading(m.benchmark, m.score, m.samples, m.step, m.rule, m.se) for m in measurements]


def curve(
    row: models.Trial,
    points: Sequence[tuple[int, Point]],
    wanted: Sequence[str] | None,
    max_points: int,
) -> Curve:
    """A trial's points as columns; fewer steps where many metrics would make it too much."""
    known = sorted({name for _, point in points for name in point.metrics})[:MAX_NAMES]
    names = known if wanted is None else [name for name in known if name in wanted]
    n = max(1, min(max_points, MAX_VALUES // max(1, len(names))))
    kept = set(curves.thinned([point.step for _, point in points], n))
    shown = [(attempt, point) for attempt, point in points if point.step in kept]
    return Curve(
        trial=row.id,
        steps=[point.step for _, point in shown],
        attempts=[attempt for attempt, _ in shown],
        metrics={name: [_rounded(point.metrics.get(name)) for _, point in shown] for name in names},
        names=known,
    )


def _rounded(value: float | None) -> float | None:
    """To 6 digits, as much as a plot can show."""
    return None if value is None else float(f"{value:.6g}")
