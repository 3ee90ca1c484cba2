"""Finished runs by the thousand: those there are, told again by what they say, and new ones stored.

`trials.add` has a dozen statements a trial; here as many store all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from db import tags
from db.clock import now
from db.models import Event, Measurement, Study, Trial
from db.trial_states import WHOLE
from db.trials import NewTrial, training_seed

DIGITS = 6
"""Behind the point, to which weights and scores of the same run are the same."""

Said = tuple[tuple[tuple[str, float], ...], tuple[tuple[str, float], ...]]
"""What is said of a run: its weights above 0, and its scores."""


def said(mixture: Mapping[str, float], scores: Mapping[str, float]) -> Said:
    """A run's mixture and last scores, as they are compared."""
    return _rounded(mixture, least=10**-DIGITS / 2), _rounded(scores, least=-1.0)


def _rounded(values: Mapping[str, float], least: float) -> tuple[tuple[str, float], ...]:
    return tuple(
        sorted((name, round(value, DIGITS)) for name, value in values.items() if value > least)
    )


def known(session: Session, study: Study) -> dict[Said, list[int]]:
    """Numbers of the study's whole runs that say the same, by what they say."""
    scores: defaultdict[int, dict[str, float]] = defaultdict(dict)
    of_these = (Trial.study_id == study.id, Trial.state == WHOLE, Trial.channel == "full")
    measured = (
        select(Measurement.trial_id, Measurement.benchmark, Measurement.score)
        .join(Trial, Trial.id == Measurement.trial_id)
        .where(
            *of_these,
            Measurement.rule == "paper",
            Measurement.replicate == "",
            Measurement.is_superseded.is_(False),
        )
        .order_by(Measurement.step)
    )
    for trial_id, benchmark, score in session.execute(measured):
        scores[trial_id][benchmark] = score
    mixtures = session.execute(
        select(Trial.id, Trial.number, Trial.mixture).where(*of_these).order_by(Trial.number)
    )
    found: defaultdict[Said, list[int]] = defaultdict(list)
    for trial_id, number, mixture in mixtures:
        found[said(mixture, scores[trial_id])].append(number)
    return dict(found)


def lock(session: Session, study: Study) -> None:
    """Holds the study's row, so that of two imports at once the second sees what the first has
    stored."""
    session.refresh(study, with_for_update={"key_share": True})


def attach(session: Session, study: Study, new: Sequence[NewTrial], actor: str) -> list[int]:
    """Stores finished runs of a study that is locked, and says their numbers.

    Each is a change and a result of its own, as if it had been added alone.
    """
    n = len(new)
    last, revision, at = session.execute(
        update(Study)
        .where(Study.id == study.id)
        .values(
            last_number=Study.last_number + n,
            attached=Study.attached + n,
            results=Study.results + n,
            revision=Study.revision + n,
            failing=0,
            updated_at=now(),
        )
        .returning(Study.last_number, Study.revision, Study.updated_at)
        .execution_options(synchronize_session=False)
    ).one()
    numbers = list(range(last - n + 1, last + 1))
    rows: list[dict[str, Any]] = [
        {
            "study_id": study.id,
            "number": number,
            "state": WHOLE,
            "origin": "attached",
            "by_hand": True,
            "mixture": trial.mixture,
            "seed": training_seed(study.spec["seed"], number),
            "proposal": None,
            "wall_s": trial.wall_s,
            "artifacts": {},
            "note": trial.note,
            "tags": tags.joined(trial.tags),
            "finished_at": at,
            "revision": revision - n + place,
        }
        for place, (number, trial) in enumerate(zip(numbers, new, strict=True), start=1)
    ]
    session.execute(insert(Trial), rows)
    found = select(Trial.number, Trial.id).where(
        Trial.study_id == study.id, Trial.number >= numbers[0]
    )
    ids = dict(session.execute(found).all())
    measured = [
        {
            "trial_id": ids[number],
            "benchmark": reading.benchmark,
            "score": reading.score,
            "samples": reading.samples,
            "step": reading.step,
            "rule": reading.rule,
            "se": reading.se,
        }
        for number, trial in zip(numbers, new, strict=True)
        for reading in trial.readings
    ]
    session.execute(insert(Measurement), measured)
    events = [
        {
            "at": at,
            "study_id": study.id,
            "trial_id": ids[number],
            "actor": actor,
            "what": "attached",
            "detail": {"imported_with": n},
        }
        for number in numbers
    ]
    session.execute(insert(Event), events)
    session.expire(study)
    return numbers
