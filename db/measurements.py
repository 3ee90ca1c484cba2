"""Scores as they come in: a trial's own, and replicates that its state no longer takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from db.errors import TooManyScores
from db.models import Measurement, Trial

MAX_SCORES = 5000
"""Of checkpoints on the way, for one trial."""

MAX_REPLICATES = 2000
"""Scores beside a trial's own. Who holds no lease may send them, so there must be an end."""

_OF_TRIAL = (
    select(Measurement)
    .where(Measurement.trial_id == bindparam("of_trial"))
    .execution_options(populate_existing=True)
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One benchmark's score at one training step; `score` and `se` are fractions."""

    benchmark: str
    score: float
    samples: int
    step: int = 0
    rule: str = "paper"
    se: float | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        return self.benchmark, self.rule, self.step

    def fields(self) -> dict[str, Any]:
        """Its fields by name. `dataclasses.asdict` copies each, which takes ten times as long."""
        return {name: getattr(self, name) for name in self.__slots__}


def digest(
    readings: Iterable[Reading], artifacts: dict[str, Any] | None, wall_s: float | None
) -> str:
    """Hash by which the same result is known again, whatever the order of its scores."""
    body = [
        sorted((reading.fields() for reading in readings), key=json.dumps),
        artifacts or {},
        wall_s,
    ]
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def keep(session: Session, trial: Trial, readings: Iterable[Reading]) -> list[Measurement]:
    """Stores a trial's own scores; one of the same benchmark, rule and step is replaced.

    The caller holds the trial's lock, or has just stored it. Returns all it has now, replicates
    too.
    """
    rows = of_trial(session, trial.id)
    known = {(row.benchmark, row.rule, row.step): row for row in rows if not row.replicate}
    for reading in readings:
        row = known.get(reading.key)
        if row is None:
            row = Measurement(trial_id=trial.id, **reading.fields())
            known[reading.key] = row
            rows.append(row)
            session.add(row)
        row.score, row.samples, row.se = reading.score, reading.samples, reading.se
        row.attempt_number = trial.attempt_number or None
        row.is_superseded = False
    session.flush()
    return rows


def keep_on_the_way(
    session: Session, trial: Trial, readings: Iterable[Reading]
) -> list[Measurement]:
    """`keep`, for checkpoints before the last.

    Raises:
        TooManyScores: the trial would have more than `MAX_SCORES`.
    """
    rows = keep(session, trial, readings)
    own = sum(not row.replicate for row in rows)
    if own > MAX_SCORES:
        raise TooManyScores(
            f"{trial.called} would have {own} scores, more than {MAX_SCORES}; score fewer "
            "checkpoints on the way, the final result is taken all the same"
        )
    return rows


def of_trial(session: Session, trial_id: int) -> list[Measurement]:
    """All that is stored of a trial's scores, replicates too."""
    return list(session.scalars(_OF_TRIAL, {"of_trial": trial_id}))


def close(session: Session, trial: Trial, readings: Sequence[Reading]) -> list[Measurement]:
    """Stores the final scores, and puts aside what earlier attempts measured beyond them.

    A first attempt may have scored step 1500 and died, and the one that finished have ended at
    step 1000: the trial's last score is then that of step 1000, also of a benchmark that the result
    leaves to what came before it. Returns what `keep` does.
    """
    rows = keep(session, trial, readings)
    end = max((reading.step for reading in readings), default=0)
    last: dict[tuple[str, str], int] = {}
    for reading in readings:
        place = reading.benchmark, reading.rule
        last[place] = max(reading.step, last.get(place, 0))
    for row in rows:
        is_beyond = row.step > last.get((row.benchmark, row.rule), end or row.step)
        if is_beyond and not row.replicate:
            row.is_superseded = True
    session.flush()
    return rows


def keep_replicate(
    session: Session, trial: Trial, readings: Sequence[Reading], source: str
) -> Literal["new", "known", "full"]:
    """Stores scores beside the trial's own; says whether this very result was kept before, or
    cannot be kept since there would be more than `MAX_REPLICATES`."""
    beside = (Measurement.trial_id == trial.id, Measurement.replicate != "")
    if session.scalar(
        select(Measurement.id).where(*beside, Measurement.replicate == source).limit(1)
    ):
        return "known"
    n = session.scalar(select(func.count()).select_from(Measurement).where(*beside)) or 0
    if n + len(readings) > MAX_REPLICATES:
        return "full"
    session.add_all(
        Measurement(trial_id=trial.id, replicate=source, **reading.fields()) for reading in readings
    )
    session.flush()
    return "new"
