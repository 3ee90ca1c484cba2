"""Runs that have no last score yet: on their way to it, to a step, or standing at one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import models, trials
from db.models import Trial
from db.trial_states import UNDER_WAY
from service.schemas.spec import FULL
from service.search.situation import Begun
from service.search.space import SAME, total_variation
from service.search.surrogates import TAKING_CHANNELS
from service.study import cost, engine_terms, schedules
from service.study.evidence import Evidence
from service.study.runs import channel_of


@dataclass(frozen=True, slots=True)
class _Row:
    """What of a run matters here."""

    id: int
    number: int
    state: str
    mixture: Mapping[str, float]
    stop_at: int | None
    by_hand: bool
    asked: str | None
    share: float
    by: str | None
    schedule: engine_terms.Schedule | None

    @property
    def is_scheduled(self) -> bool:
        """Whether its mixture changes on the way: it says nothing sure of its mean."""
        return self.schedule is not None

    @property
    def is_standing(self) -> bool:
        """Whether the search may have it continued."""
        return self.state == "paused" and not self.by_hand and not self.is_scheduled

    @property
    def ends_at(self) -> int | None:
        """The step that the search lets it come to; None for the last, and for what people say."""
        return None if self.by_hand else self.stop_at


@dataclass(frozen=True, slots=True)
class Parts:
    """A study's runs without a last score.

    Attributes:
        whole: mixtures (p, m) of those whose last score is to come.
        to_a_step: the same of those that are to pause first, by channel.
        standing: those that pause, by number, and may be continued.
        judged: those whose new scores say whether they are worth going on with.
        spent: of the budget, on all but the study's runs and `whole`, in full runs: on runs that
            ended or stand before their last step, or will, and on what is no evidence, such as
            schedules that people queued.
        ids: by number.
    """

    whole: NDArray[np.float64]
    to_a_step: Mapping[str, NDArray[np.float64]]
    standing: Begun
    judged: Begun
    spent: float
    ids: Mapping[int, int]


def read(
    session: Session,
    study: models.Study,
    known: Evidence,
    costs: Mapping[str, float],
    but: Collection[int] = (),
    *,
    judges: bool = False,
) -> Parts:
    """The runs of a study whose last scores are to come.

    Args:
        costs: of a score in each channel, in full runs.
        but: ids of trials to leave out.
        judges: whether running ones are to be judged; they are not among `whole` then.
    """
    rows = [row for row in _rows(session, study) if row.id not in but]
    at = dict(known.partial)
    paused = [row for row in rows if row.is_standing]
    # An edit of the study may have left some out of its space: they are not gone on with.
    fits = known.space.contains(
        engine_terms.weights(known.spec, [dict(row.mixture) for row in paused])
    )
    standing = [row for row, is_within in zip(paused, fits, strict=True) if is_within]
    judged = _judged(session, study, known, rows) if judges else []
    to_a_step: dict[str, list[_Row]] = defaultdict(list)
    whole = []
    for row in rows:
        if row.state not in UNDER_WAY or row in paused or row in judged:
            continue
        if row.schedule is not None and not schedules.is_searched(known.spec, row.schedule):
            continue  # what it scores will be no evidence of what is proposed
        if row.ends_at is None:
            whole.append(row)
        else:
            to_a_step[channel_of(row.ends_at)].append(row)
    used = study.completed + study.attached
    used += sum(row.share for row in rows if row.state in UNDER_WAY)
    return Parts(
        whole=_points(known, whole),
        to_a_step={name: _points(known, found) for name, found in to_a_step.items()},
        standing=_begun(known, standing, at, costs, trials.paused_steps(session, study)),
        judged=_begun(known, judged, at, costs),
        spent=used - len(known.runs) - len(whole),
        ids={row.number: row.id for row in rows},
    )


def _judged(
    session: Session, study: models.Study, known: Evidence, rows: Sequence[_Row]
) -> list[_Row]:
    """Running ones that a surrogate chose, to be trained to their end, and that have been scored on
    their way since they were begun or continued; no repetition of another's mixture."""
    at, continued_at = dict(known.partial), trials.paused_steps(session, study)
    steps, _ = engine_terms.steps_of(known.spec)
    return [
        row
        for row in rows
        if row.state == "running"
        and not row.by_hand
        and row.stop_at is None
        and row.asked is None
        and row.by in TAKING_CHANNELS
        and continued_at.get(row.id, 0) < at.get(row.id, 0) < (steps or 0)
        and not _is_repeated(known, row, rows)
    ]


def _is_repeated(known: Evidence, row: _Row, rows: Sequence[_Row]) -> bool:
    earlier = [o for o in rows if o.number < row.number and not o.is_scheduled]
    tried = np.vstack([known.runs.weights, _points(known, earlier)])
    return bool(np.any(total_variation(_points(known, [row])[0], tried) <= SAME))


def _begun(
    known: Evidence,
    rows: Sequence[_Row],
    at: Mapping[int, int],
    costs: Mapping[str, float],
    paused_at: Mapping[int, int] | None = None,
) -> Begun:
    """Runs that have come to a step.

    Args:
        paused_at: steps that they stand at, by id: they may go on to a later one alone. None for
            those that are under way.
    """
    steps, _ = engine_terms.steps_of(known.spec)

    def rest(row: _Row, end: int | None = None) -> float:
        """What it costs to go on to a step, or to its last one."""
        step = at.get(row.id, 0)
        part = ((end or steps) - step) / steps if steps else 0.0
        whole = 1.0 if end is None else costs[channel_of(end)]
        done = costs.get(channel_of(step), step / steps if steps else 0.0)
        return max(cost.LEAST_COST, cost.LEAST_PART * part, whole - done)

    def until(row: _Row) -> dict[str, float]:
        if paused_at is None:
            return {}
        ends = [end for end in known.spec.search.steps if end > paused_at.get(row.id, 0)]
        return {channel_of(end): rest(row, end) for end in ends if channel_of(end) in costs}

    return Begun(
        _points(known, rows),
        tuple(channel_of(at.get(row.id, 0)) for row in rows),
        np.array([rest(row) for row in rows]),
        tuple(row.number for row in rows),
        tuple(until(row) for row in rows),
    )


def _points(known: Evidence, rows: Sequence[_Row]) -> NDArray[np.float64]:
    return engine_terms.points(known.spec, [(dict(row.mixture), row.schedule) for row in rows])


def _rows(session: Session, study: models.Study) -> list[_Row]:
    found = session.execute(
        select(
            Trial.id,
            Trial.number,
            Trial.state,
            Trial.mixture,
            Trial.stop_at,
            Trial.by_hand,
            Trial.asked,
            Trial.share,
            Trial.proposal,
            Trial.schedule,
        )
        .where(
            Trial.study_id == study.id,
            Trial.channel == FULL,
            Trial.state.in_((*UNDER_WAY, "early_stopped")),
        )
        .order_by(Trial.number)
    )
    return [
        _Row(
            id=row.id,
            number=row.number,
            state=row.state,
            mixture=row.mixture,
            stop_at=row.stop_at,
            by_hand=row.by_hand,
            asked=row.asked,
            share=row.share,
            by=(row.proposal or {}).get("strategy"),
            schedule=row.schedule,
        )
        for row in found
    ]
