"""The answer of a study so far: the mixture to train, with what its surrogate says of it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import models, studies, trials
from db.sessions import Database
from service.errors import STOPPING, NoFit, Refused
from service.fitting.fits import Fits
from service.fitting.records import FitRecord, GoalRecord
from service.schemas import BestAnswer, PredictedMixture, Prediction, Score, TrainThis, Trial
from service.search import intervals
from service.search.counts import counted
from service.search.situation import sign_of
from service.study import engine_terms, evidence, headline, points, schedules, views, waiting
from service.study.evidence import Evidence
from service.study.headline import Tried
from service.study.runs import MeasuredRun

BEST_BY = "auto"
"""Whose prediction goes with the best mixture unless another is asked for."""


def best(database: Database, fits: Fits, study: str, surrogate: str) -> BestAnswer:
    """The mixture to train, its gain over uniform by its runs and by the surrogate, how likely its
    floors are to hold, and the surrogate's own best.

    Raises:
        Refused: no such surrogate.
        StudyNotFound: there is none of this name.
    """
    with database.read() as session:
        row = studies.get(session, study)
        known = evidence.read(session, row)
        standing = known.standing()
        found, uniform, n_tried = standing.best, standing.uniform, len(standing.mixtures)
        shown, shown_uniform = (_trial(session, known, item) for item in (found, uniform))
        counts = studies.trial_counts(session, [row.id])[row.id]
        idle = waiting.why_idle(session, row, counts)
        nothing = "" if found else _nothing(session, row, counts)
        if found is None and known.completed:
            nothing = f"{known.why_none_to_train.capitalize()}."
    gain = standing.gain
    if found is not None and found is uniform:
        gain = Score(value=0.0, se=0.0)
    fit, trouble = _fit(fits, known, surrogate)
    decided = None
    if known.goal is not None and fit is not None:
        decided, trouble = _goal(fits, known, surrogate)
    train = None if found is None else _train(known, found, standing.gain, fit)
    said = nothing
    if found is not None and train is not None:
        said = _message(known, train, found.schedule, uniform, n_tried, surrogate)
    goal = None if decided is None else decided.answer.train
    if decided is not None and goal is not None:
        said = f"{said} {decided.of_train}"
    return BestAnswer(
        train=train,
        best=shown,
        uniform=shown_uniform,
        gain=None if gain is None else gain.value,
        gain_se=None if gain is None else gain.se,
        predicted=None if fit is None else _predicted(fit, decided),
        goal=goal,
        waiting=idle,
        message=" ".join(filter(None, [said, trouble if n_tried > 1 else None])),
    )


def _trial(session: Session, known: Evidence, found: Tried[MeasuredRun] | None) -> Trial | None:
    return None if found is None else views.trial(trials.get(session, found.first.id), known.spec)


def _fit(fits: Fits, known: Evidence, surrogate: str) -> tuple[FitRecord | None, str | None]:
    try:
        return fits.fit(known, surrogate).record, None
    except Refused as refused:
        if refused.code in ("surrogate-not-found", STOPPING):
            raise
        return None, f"No prediction: {refused.detail}."


def _goal(fits: Fits, known: Evidence, surrogate: str) -> tuple[GoalRecord | None, str | None]:
    try:
        return fits.goal(known, surrogate), None
    except NoFit as refused:
        return None, f"Nothing is known of the floors and objectives: {refused.detail}."


def _predicted(fit: FitRecord, decided: GoalRecord | None) -> PredictedMixture | None:
    if decided is None:
        return fit.fit.best
    best = decided.answer.recommended
    return PredictedMixture(weights=best.weights, mean=best.score.mean, sd=best.score.sd)


def _train(
    known: Evidence,
    found: Tried[MeasuredRun],
    gain: Score | None,
    fit: FitRecord | None,
) -> TrainThis:
    predicted = predicted_gain = None
    if fit is not None and fit.compared is not None:
        belief = fit.compared.posterior()
        predicted = Prediction(mean=float(belief.mean[0]), sd=float(belief.sd[0]))
        if found.schedule or not headline.is_uniform(found.mixture, known.spec.dropped):
            more, sd = belief.difference()
            sign = sign_of(known.spec.objective.direction)
            predicted_gain = Prediction(mean=sign * more, sd=sd)
    return TrainThis(
        mixture=found.mixture,
        trials=found.numbers,
        score=found.score,
        gain=gain,
        predicted=predicted,
        predicted_gain=predicted_gain,
    )


def _message(
    known: Evidence,
    train: TrainThis,
    schedule: engine_terms.Schedule,
    uniform: Tried[MeasuredRun] | None,
    n_tried: int,
    surrogate: str,
) -> str:
    """In points of 100, with 95% intervals, and says so."""
    n = len(train.trials)
    which = headline.trials(train.trials)
    score = points.score(train.score.value, train.score.se)
    of = "" if n == 1 else f", the mean of {n} runs"
    if n_tried == 1:
        done = "One run is completed" if n == 1 else f"{n} runs are completed, all of one mixture"
        objective = f"{known.spec.objective.name} {score}{of}"
        alone = "There is no other mixture to compare it with yet."
        return f"{done}: {which}, {objective}. {alone} {UNITS}"
    what = "schedule" if schedule else "mixture"
    start = f"Train this: the {what} of {which}, {known.spec.objective.name} {score}{of}"
    if train.gain is not None:
        gain = points.signed(train.gain.value, train.gain.se)
        doubt = "" if train.gain.value > intervals.Z95 * train.gain.se else " (which may be chance)"
        start += f", {gain} over equal weights{doubt}"
    elif uniform is not None:
        start += "; its weights are equal"
    else:
        start += "; no completed trial has equal weights to compare with"
    view = ""
    if train.predicted is not None:
        view = f" {surrogate} predicts {points.score(train.predicted.mean, train.predicted.sd)}"
        view += " of it without the noise of single runs"
        if train.predicted_gain is not None:
            gain = points.signed(train.predicted_gain.mean, train.predicted_gain.sd)
            view += f", {gain} over equal weights"
        view += "."
    phases = f" It is {schedules.in_words(schedule)}." if schedule else ""
    return f"{start}.{phases}{view} {UNITS}"


UNITS = "Scores are points of 100, ± is a 95% interval."


def _nothing(session: Session, row: models.Study, counts: dict[str, int]) -> str:
    """Why there is no result to show."""
    failed, total = counts.get("failed", 0), sum(counts.values())
    start = "No run is completed"
    is_over = row.state == "finished"
    if not failed:
        return f"{start}." if is_over else f"{start} yet."
    error = session.scalar(
        select(models.Attempt.error)
        .join(models.Trial, models.Trial.id == models.Attempt.trial_id)
        .where(models.Trial.study_id == row.id, models.Attempt.error.is_not(None))
        .order_by(models.Attempt.id.desc())
        .limit(1)
    )
    said = waiting.last_line(error)[: waiting.LONGEST_ERROR]
    last = f"; the last error: {said}" if said else ""
    if not is_over and counts.get("queued", 0) + counts.get("running", 0):
        return f"{start} yet, and {counted(failed, 'trial')} failed{last}"
    if failed < total:
        return f"{start}: {counted(failed, 'trial')} failed{last}"
    all_of = "its one trial failed" if failed == 1 else f"all {failed} trials failed"
    return f"{start}: {all_of}{last}"
