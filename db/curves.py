"""Learning curves: what a trial's run said of itself at its training steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, func, insert, select
from sqlalchemy.orm import Session

from db.models import Base, CurvePoint, Trial

MAX_POINTS = 500
"""Points of one attempt at most; of more, half as many are kept, evenly spread over the steps."""

# Built once, for the heartbeats.
CURVES = Base.metadata.tables["curve_points"]
_OWN = (
    CURVES.c.trial_id == bindparam("of_trial"),
    CURVES.c.attempt_number == bindparam("numbered"),
)
_AMONG = CURVES.c.step.in_(bindparam("among", expanding=True))
_KNOWN = select(CURVES.c.step).where(*_OWN, _AMONG)
_COUNT = select(func.count()).select_from(CURVES).where(*_OWN)
_STEPS = select(CURVES.c.step).where(*_OWN).order_by(CURVES.c.step)
_ADD = insert(CURVES)
_DROP = delete(CURVES).where(*_OWN, _AMONG)


@dataclass(frozen=True, slots=True)
class Point:
    """Metrics (mean rewards, loss, lengths and the like) at one training step."""

    step: int
    metrics: dict[str, float]


def keep(session: Session, trial_id: int, attempt_number: int, points: Iterable[Point]) -> None:
    """Adds points to the curve of the trial's present attempt; a step it has already stays.

    The caller holds the trial's lock.
    """
    new = {point.step: point for point in points if point.metrics}
    if not new:
        return
    own = {"of_trial": trial_id, "numbered": attempt_number}
    known = session.scalars(_KNOWN, own | {"among": list(new)})
    added = sorted(set(new) - set(known))
    if not added:
        return
    rows = [
        {"trial_id": trial_id, "attempt_number": attempt_number, "step": step}
        | {"metrics": new[step].metrics}
        for step in added
    ]
    session.execute(_ADD, rows)
    if (session.scalar(_COUNT, own) or 0) > MAX_POINTS:
        steps = list(session.scalars(_STEPS, own))
        dropped = sorted(set(steps) - set(thinned(steps, MAX_POINTS // 2)))
        session.execute(_DROP, own | {"among": dropped})


def thinned(steps: Sequence[int], n: int) -> list[int]:
    """At most n of rising steps, evenly spread: of each of n - 1 equal stretches the first, and the
    last of all. Thinned again after more have come, they stay about even."""
    if len(steps) <= n:
        return list(steps)
    if n < 2:
        return [steps[-1]]
    first, last = steps[0], steps[-1]
    kept: dict[int, int] = {}
    for step in steps[:-1]:
        kept.setdefault(math.floor((step - first) * (n - 1) / (last - first)), step)
    return [*kept.values(), last]


def read(session: Session, trial: Trial) -> list[tuple[int, Point]]:
    """The trial's curve in order of steps, each point with the number of its attempt.

    An attempt that went on from a checkpoint continues the curve of the one before; from its first
    step on, it replaces it.
    """
    rows = session.execute(
        select(CurvePoint.attempt_number, CurvePoint.step, CurvePoint.metrics)
        .where(CurvePoint.trial_id == trial.id)
        .order_by(CurvePoint.attempt_number.desc(), CurvePoint.step)
    )
    by_attempt: dict[int, list[Point]] = {}
    for attempt, step, metrics in rows:
        by_attempt.setdefault(attempt, []).append(Point(step, metrics))
    curve: list[tuple[int, Point]] = []
    end = math.inf
    for attempt, points in by_attempt.items():
        curve = [(attempt, point) for point in points if point.step < end] + curve
        end = min(end, points[0].step)
    return curve
