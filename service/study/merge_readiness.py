"""Whether a study can merge models of experts, and of which: derived from its trials alone.

A model of channel `merged` is made of the experts' weights (formula:
`trainer/run/task_arithmetic.py`) and scored, without training. It can be run when

1. every domain of its mixture has an expert: a completed run of that domain alone whose weights
   are in the workers' store; of several the earliest;
2. `lambda_u` is known: the first merged model is of the uniform mixture, and is scaled so that its
   score meets that of the uniform mixture's run. Until it is completed no other one is given away.
   The uniform mixture is that of the domains in use; where one is dropped later, what was found of
   all of them holds on.

The service queues each of the runs that this needs once (`service/proposing/experts.py`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from db import models, queue, trials
from db.models import Study, Trial
from db.states import UNDER_WAY
from service.schemas import SUM_TOLERANCE, Calibration, Expert, Merge, Score, StudySpec
from service.schemas.spec import FULL, MERGED
from service.search.space import SAME
from service.study import headline, views

BY = "experts"
"""What the service names as the strategy of the trials that it queues for merging."""
SCALE = "scale_at_uniform"
"""The artifact of a merged trial that says which `lambda_u` it found."""
OWN_SCALE = "scale"
"""That which says what its own mixture's changes were scaled by."""
STORE, WEIGHTS = "store", "keeps_weights"
"""Artifacts of a run: its URL in the store, and whether its weights lie there."""
MOST_SCALE = 1000.0
"""A larger `lambda_u` is taken for a mistake."""
MOST_READY = 200
"""Trials that are told to be ready at once, the first of the queue."""


@dataclass(frozen=True, slots=True)
class Row:
    """What of a trial matters here."""

    id: int
    number: int
    state: str
    channel: str
    mixture: Mapping[str, float]
    by: str
    is_withdrawn: bool
    is_uniform: bool
    """Equal weights on the domains in use."""

    @property
    def is_under_way(self) -> bool:
        return self.state in UNDER_WAY

    @property
    def alone(self) -> str | None:
        """The only domain of its mixture; None where there are several."""
        return alone(self.mixture)


@dataclass(frozen=True, slots=True)
class MergeReadiness:
    """What there is to merge.

    Attributes:
        domains: in use.
        rows: by number, the runs of a domain alone, and all trials of the uniform mixture.
        experts: by domain, of those that have one.
        truth: the objective of the uniform mixture, by the mean of its runs; None before the first.
        scale_at_uniform: `lambda_u`; None before it was found.
        calibrating: id of the merged trial of the uniform mixture that is to find it, or does.
    """

    domains: Sequence[str]
    rows: Sequence[Row]
    experts: Mapping[str, Expert]
    truth: Score | None
    scale_at_uniform: float | None
    calibrating: int | None

    @property
    def uniform(self) -> dict[str, float]:
        """The mixture of equal weights."""
        return dict.fromkeys(self.domains, 1 / len(self.domains))

    def without_expert(self, mixture: Mapping[str, float]) -> list[str]:
        """Domains of a mixture that have no expert yet."""
        return [name for name, w in mixture.items() if w > 0 and name not in self.experts]

    def is_ready(self, trial_id: int, mixture: Mapping[str, float]) -> bool:
        """Whether a queued merged trial can be run now."""
        if self.without_expert(mixture):
            return False
        if self.scale_at_uniform is not None:
            return True
        return trial_id == self.calibrating and self.truth is not None

    def of_domain(self, name: str) -> list[Row]:
        """Runs of a domain alone."""
        return [row for row in self.rows if row.channel == FULL and row.alone == name]

    def of_uniform(self, channel: str) -> list[Row]:
        """Trials of the uniform mixture."""
        return [row for row in self.rows if row.channel == channel and row.is_uniform]


def alone(mixture: Mapping[str, float]) -> str | None:
    """The only domain of a mixture; None where there are several."""
    return next((name for name, w in mixture.items() if w >= 1 - SUM_TOLERANCE), None)


def is_expert(trial: Trial, spec: StudySpec) -> bool:
    """Whether a run's weights are to be kept for merging."""
    is_on = MERGED in spec.search.channels
    return is_on and trial.channel == FULL and alone(trial.mixture) is not None


def read(session: Session, study: Study, spec: StudySpec) -> MergeReadiness:
    """What a study has for merging now."""
    domains = [domain.name for domain in spec.domains]
    rows = _rows(session, study, domains, spec.dropped)
    done = [row for row in rows if row.state == "completed"]
    singles = [row for row in done if row.channel == FULL and row.alone]
    uniform = [row for row in rows if row.is_uniform]
    merged = [row for row in rows if row.channel == MERGED]
    artifacts = _artifacts(session, [row.id for row in (*singles, *merged)])
    experts: dict[str, Expert] = {}
    for row in singles:
        found = _expert(row, artifacts[row.id])
        if found is not None:
            experts.setdefault(found.domain, found)
    scales = (_scale(artifacts[row.id], row) for row in merged if row.state == "completed")
    return MergeReadiness(
        domains=[name for name in domains if name not in spec.dropped],
        rows=rows,
        experts=experts,
        truth=_truth(session, [r.id for r in uniform if r in done and r.channel == FULL], spec),
        scale_at_uniform=next((scale for scale in scales if scale is not None), None),
        calibrating=next((row.id for row in merged if row.is_uniform and row.is_under_way), None),
    )


def ready(session: Session, study: str | None) -> list[int]:
    """Ids of the queued merged trials of active studies that can be run now, in the order of the
    queue.

    Args:
        study: only of this one; None for all.
    """
    waiting = queue.queued_merged(session, study)
    of_study: dict[int, MergeReadiness] = {}
    found = []
    for trial_id, study_id, mixture in waiting:
        if study_id not in of_study:
            row = session.get_one(Study, study_id)
            of_study[study_id] = read(session, row, views.spec(row))
        if of_study[study_id].is_ready(trial_id, mixture):
            found.append(trial_id)
        if len(found) == MOST_READY:
            break
    return found


def job(session: Session, trial: Trial, spec: StudySpec) -> Merge | None:
    """What a leased trial of channel `merged` is made of; None for a run.

    Args:
        trial: with its study, as it was leased.
    """
    if trial.channel != MERGED:
        return None
    now = read(session, trial.study, spec)
    used = [domain.name for domain in spec.domains if trial.mixture[domain.name] > 0]
    calibrate = None
    if now.scale_at_uniform is None and now.truth is not None:
        calibrate = Calibration(score=now.truth.value, weights=spec.objective_weights())
    return Merge(
        experts=[now.experts[name] for name in used if name in now.experts],
        scale_at_uniform=now.scale_at_uniform,
        calibrate=calibrate,
    )


def _rows(
    session: Session, study: Study, domains: Sequence[str], dropped: Collection[str]
) -> list[Row]:
    """Runs of a domain alone, trials of the uniform mixture of those in use, and merged models of
    that of all."""
    rows = session.execute(
        select(
            Trial.id,
            Trial.number,
            Trial.state,
            Trial.channel,
            Trial.mixture,
            Trial.proposal["strategy"].as_string(),
            Trial.is_withdrawn,
        )
        .where(Trial.study_id == study.id, Trial.schedule.is_(None), _may_matter(domains, dropped))
        .order_by(Trial.number)
    )
    known = [
        Row(
            trial,
            number,
            state,
            channel,
            mixture,
            strategy or "",
            is_withdrawn,
            headline.is_uniform(mixture, dropped),
        )
        for trial, number, state, channel, mixture, strategy, is_withdrawn in rows
    ]
    return [
        row
        for row in known
        if row.is_uniform
        or (row.channel == FULL and row.alone)
        or (row.channel == MERGED and headline.is_uniform(row.mixture))
    ]


def _may_matter(domains: Sequence[str], dropped: Collection[str]) -> ColumnElement[bool]:
    """Of a domain alone, or nearly uniform: few of a study's trials, which may be thousands."""
    weights = {name: Trial.mixture[name].as_float() for name in domains}
    nearly = 2 * SAME

    def even(names: Sequence[str]) -> ColumnElement[bool]:
        share = 1 / max(1, len(names))
        return and_(*(weights[name].between(share - nearly, share + nearly) for name in names))

    return or_(
        *(weight >= 1 - SUM_TOLERANCE for weight in weights.values()),
        even(domains),
        even([name for name in domains if name not in dropped]),
    )


def _artifacts(session: Session, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    rows = session.execute(
        select(models.Trial.id, models.Trial.artifacts).where(models.Trial.id.in_(ids))
    )
    return dict(rows.all())


def _expert(row: Row, artifacts: Mapping[str, Any]) -> Expert | None:
    url, steps = artifacts.get(STORE), artifacts.get("steps")
    is_kept = artifacts.get(WEIGHTS) is True
    if not is_kept or not isinstance(url, str) or not isinstance(steps, int) or steps < 1:
        return None
    return Expert(domain=row.alone or "", trial=row.id, run=url, steps=steps)


def _scale(artifacts: Mapping[str, Any], row: Row) -> float | None:
    """`lambda_u` as a worker reported it, None where it did not. From the scale of its own mixture,
    where it says that, since the study may have had fewer domains then (`task_arithmetic.scale`).
    """
    own, found = artifacts.get(OWN_SCALE), artifacts.get(SCALE)
    if not isinstance(found, int | float) or isinstance(found, bool):
        return None
    m, squares = len(row.mixture), math.fsum(w * w for w in row.mixture.values())
    if isinstance(own, float) and squares < 1:
        found = 1 + (own - 1) * (1 - 1 / m) / (1 - squares)
    return float(found) if 0 < found < MOST_SCALE else None


def _truth(session: Session, ids: Sequence[int], spec: StudySpec) -> Score | None:
    shown = (views.trial(trials.get(session, trial_id), spec) for trial_id in ids)
    scores = [one.scores.objective for one in shown if one.scores.objective is not None]
    return headline.mean(scores) if scores else None
