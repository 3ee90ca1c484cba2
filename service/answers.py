"""What a study has found so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sqlalchemy.orm import Session

from db import studies, trials
from db.sessions import Database
from service import evidence, surrogate_views, views
from service.errors import STOPPING, Refused
from service.evidence import Evidence, Run
from service.fits import Fits
from service.schemas import BestAnswer, PredictedMixture, Score, Trial

BEST_BY = "auto"
"""Whose prediction goes with the best mixture unless another is asked for."""

EQUAL = 1e-6
"""How far the weights of a uniform mixture may be from equal."""


def read(session: Session, study: str) -> Evidence:
    """A study's evidence by its name."""
    return evidence.read(session, studies.get(session, study))


def best_run(known: Evidence) -> Run | None:
    """The run with the best objective; the earliest of equal ones."""
    sign = 1 if known.spec.objective.direction == "maximize" else -1
    return max(known.completed, key=lambda run: sign * run.objective.value, default=None)


def uniform_run(completed: Sequence[Run]) -> Run | None:
    """The first run with equal weights."""
    return next((run for run in completed if is_uniform(run.mixture)), None)


def is_uniform(mixture: dict[str, float]) -> bool:
    share = 1 / len(mixture)
    return all(abs(weight - share) <= EQUAL for weight in mixture.values())


def gain_over(theirs: Score, ours: Score, direction: str) -> Score:
    """How much better ours is, in the objective's direction, with its standard error."""
    sign = 1 if direction == "maximize" else -1
    return Score(value=sign * (ours.value - theirs.value), se=math.hypot(ours.se, theirs.se))


def best(database: Database, fits: Fits, study: str, surrogate: str) -> BestAnswer:
    """The best completed trial, its gain over uniform, and the surrogate's own best.

    Raises:
        Refused: 404, no such surrogate.
        StudyNotFound: there is none of this name.
    """
    with database.read() as session:
        known = read(session, study)
        found, uniform = best_run(known), uniform_run(known.completed)
        shown, shown_uniform = (_trial(session, known, run) for run in (found, uniform))
    gain, gain_se = _gain(known, found, uniform)
    predicted, trouble = _predicted(fits, known, surrogate)
    return BestAnswer(
        best=shown,
        uniform=shown_uniform,
        gain=gain,
        gain_se=gain_se,
        predicted=predicted,
        message=" ".join(filter(None, [_message(known, found, gain, gain_se), trouble])),
    )


def _trial(session: Session, known: Evidence, run: Run | None) -> Trial | None:
    return None if run is None else views.trial(trials.get(session, run.id), known.spec)


def _gain(
    known: Evidence, found: Run | None, uniform: Run | None
) -> tuple[float | None, float | None]:
    if found is None or uniform is None:
        return None, None
    if found.id == uniform.id:
        return 0.0, 0.0
    gain = gain_over(uniform.objective, found.objective, known.spec.objective.direction)
    return gain.value, gain.se


def _predicted(
    fits: Fits, known: Evidence, surrogate: str
) -> tuple[PredictedMixture | None, str | None]:
    try:
        diagnosis = fits.diagnosis(known, surrogate)
    except Refused as refused:
        if refused.status == 404 or refused.code == STOPPING:
            raise
        return None, f"No prediction: {refused.detail}."
    return surrogate_views.mixture(known, diagnosis.best), None


def _message(known: Evidence, found: Run | None, gain: float | None, gain_se: float | None) -> str:
    name = known.spec.objective.name
    if found is None:
        return "No trial is completed yet."
    score = found.objective
    start = f"Best {name} {score.value:.4f} ± {score.se:.4f} in trial {found.number}"
    if gain is None or gain_se is None:
        return f"{start}; no completed trial has equal weights to compare with."
    if gain_se == 0:
        return f"{start}, which has equal weights."
    doubt = "" if gain > 2 * gain_se else ", less than two standard errors"
    return f"{start}: {gain:+.4f} ± {gain_se:.4f} over equal weights{doubt}."
