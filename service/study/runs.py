"""A study's trials read as runs: what they scored, and of which step that is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from db import models
from db.models import Trial
from db.trial_states import RESULTS, WHOLE
from service.schemas import (
    Measurement,
    Score,
    Scores,
    StudySpec,
    averaged_measurements,
    last_measurements,
)
from service.schemas.spec import MERGED
from service.search.runs import SCHEDULED
from service.study import engine_terms, schedules

_OF_RUN = (
    *(Trial.id, Trial.number, Trial.state, Trial.mixture, Trial.channel),
    Trial.schedule,
)


@dataclass(frozen=True, slots=True)
class Run:
    """A completed trial with its objective."""

    id: int
    number: int
    mixture: dict[str, float]
    score: Score
    """The objective, a fraction."""
    schedule: engine_terms.Schedule = field(default=(), kw_only=True)
    """Phases of a run that changed its mixture on the way; `mixture` is its mean."""
    outputs: tuple[float, ...] = field(default=(), kw_only=True)
    """Scores that the study's goal looks at, in its order; none where it has no goal beside the
    objective."""


@dataclass(frozen=True, slots=True)
class MeasuredRun(Run):
    """The same with all that the engine needs."""

    scores: Scores
    benchmarks: dict[str, Measurement]
    """The last measurement of each benchmark."""
    for_heuristics: Scores
    """The scores that heuristics go by: `scores`, or their averages over steps."""


def read_runs(
    session: Session,
    study: models.Study,
    spec: StudySpec,
    under_way: Mapping[int, int | None],
) -> tuple[list[MeasuredRun], dict[int, list[MeasuredRun]], dict[str, list[MeasuredRun]]]:
    """The completed runs of a study that have the objective of `spec`; by step what those scored
    that were stopped early or are under way, with what the completed ones did at the same step; and
    by channel what merged models scored, and runs whose mixture changed on the way.

    None of the latter is ever taken for a whole run's score.

    Args:
        under_way: ids of trials whose scores so far count, each with the step until which; None for
            all of them.
    """
    is_taken = or_(Trial.state.in_(RESULTS), Trial.id.in_(under_way))
    measured = _measurements(session, study, is_taken)
    completed: list[MeasuredRun] = []
    beside: dict[str, list[MeasuredRun]] = {MERGED: [], SCHEDULED: []}
    partial: dict[int, list[MeasuredRun]] = {step: [] for step in spec.search.steps}
    rows = session.execute(
        select(*_OF_RUN).where(Trial.study_id == study.id, is_taken).order_by(Trial.number)
    )
    for trial_id, number, state, mixture, channel, schedule in rows:
        scores = measured.get(trial_id, [])
        if channel == MERGED or state == WHOLE:
            run = _measured(spec, trial_id, number, mixture, scores, schedule or ())
            if run is not None:
                named = channel if _is_run(spec, schedule) else SCHEDULED
                beside.get(named, completed).append(run)
        elif schedule is not None:
            continue  # a part of it has had another mixture than the whole
        elif (part := so_far(spec, scores, under_way.get(trial_id))) is not None:
            run = _measured(spec, trial_id, number, mixture, part.measurements)
            if run is not None:
                partial.setdefault(part.step, []).append(run)
    for step, runs in partial.items():
        for run in completed:
            then = [item for item in measured[run.id] if item.step == step]
            early = _measured(spec, run.id, run.number, run.mixture, then)
            if early is not None:
                runs.append(early)
    return (
        completed,
        {step: runs for step, runs in partial.items() if runs},
        {name: runs for name, runs in beside.items() if runs},
    )


@dataclass(frozen=True, slots=True)
class Part:
    """What a run has scored up to a step."""

    step: int
    measurements: Sequence[Measurement]


def so_far(
    spec: StudySpec, measurements: Sequence[Measurement], until: int | None = None
) -> Part | None:
    """A run's scores up to the last step at which all that the objective weighs was scored; where
    none is such a step, the last of each, as of the earliest of them. None without an objective.

    Args:
        until: nothing later counts; None for all.
    """
    taken = [item for item in measurements if until is None or item.step <= until]
    weighed = set(spec.needed_benchmarks())
    at: dict[int, set[str]] = defaultdict(set)
    for item in taken:
        if item.rule == "paper" and item.benchmark in weighed:
            at[item.step].add(item.benchmark)
    whole = [step for step, names in at.items() if names == weighed]
    if whole:
        step = max(whole)
        return Part(step, [item for item in taken if item.step <= step])
    last = last_measurements(taken)
    if not weighed <= last.keys():
        return None
    return Part(min(last[name].step for name in weighed), taken)


def channel_of(step: int) -> str:
    """The channel of scores at a step of a run that went no further; 0 where that is not known."""
    return f"step-{step}" if step else "stopped"


def _measured(
    spec: StudySpec,
    trial_id: int,
    number: int,
    mixture: dict[str, float],
    measurements: Sequence[Measurement],
    schedule: engine_terms.Schedule = (),
) -> MeasuredRun | None:
    """A trial as it was measured; None without an objective."""
    last = last_measurements(measurements)
    scores = spec.scores(last.values())
    if scores.objective is None or not last.keys() >= set(spec.needed_benchmarks()):
        return None
    other = scores
    if spec.heuristics.scores == "averaged":
        other = spec.scores(averaged_measurements(measurements))
    outputs = _outputs(spec, last)
    return MeasuredRun(
        *(trial_id, number, mixture, scores.objective, scores, last, other),
        schedule=schedule,
        outputs=outputs,
    )


def _is_run(spec: StudySpec, schedule: engine_terms.Schedule | None) -> bool:
    """Whether a training run that came to its end is one that the search is judged by."""
    return schedule is None or schedules.is_searched(spec, schedule)


def _outputs(spec: StudySpec, last: Mapping[str, Measurement]) -> tuple[float, ...]:
    """What the study's goal looks at."""
    weights = engine_terms.output_weights(spec).values() if spec.has_goal else ()
    return tuple(Score.weighted(last.values(), each).value for each in weights)


def n_whole(session: Session, study: models.Study) -> int:
    """How many runs of a study came to their end with one mixture, whatever they scored."""
    return session.execute(
        select(func.count())
        .select_from(Trial)
        .where(
            Trial.study_id == study.id,
            Trial.state == WHOLE,
            Trial.channel != MERGED,
            Trial.schedule.is_(None),
        )
    ).scalar_one()


def scored(
    session: Session, study: models.Study, spec: StudySpec, after: int = 0
) -> tuple[list[Run], set[int]]:
    """Runs by number that changed after a revision, and the numbers of all trials that did.

    They are the completed ones of `read_runs`, with their objective alone, which takes a third of
    the time.
    """
    changed = (Trial.study_id == study.id, Trial.revision > after)
    shares, needed = spec.objective_weights(), spec.needed_benchmarks()
    measured = _measurements(
        session,
        study,
        Trial.state == WHOLE,
        Trial.revision > after,
        models.Measurement.rule == "paper",
        models.Measurement.benchmark.in_(needed),
    )
    runs: list[Run] = []
    numbers: set[int] = set()
    rows = session.execute(select(*_OF_RUN).where(*changed).order_by(Trial.number))
    for trial_id, number, state, mixture, channel, schedule in rows:
        numbers.add(number)
        if not _is_run(spec, schedule):
            continue
        last = last_measurements(measured.get(trial_id, []))
        if state == WHOLE and channel != MERGED and len(last) == len(needed):
            score = Score.weighted(last.values(), shares)
            outputs = _outputs(spec, last)
            runs.append(
                Run(trial_id, number, mixture, score, schedule=schedule or (), outputs=outputs)
            )
    return runs, numbers


def _measurements(
    session: Session, study: models.Study, *only: ColumnElement[bool]
) -> dict[int, list[Measurement]]:
    """What the runs of a study count with, by trial, as it came in."""
    rows = session.execute(
        select(
            models.Measurement.trial_id,
            models.Measurement.benchmark,
            models.Measurement.score,
            models.Measurement.samples,
            models.Measurement.step,
            models.Measurement.rule,
            models.Measurement.se,
        )
        .join(Trial, Trial.id == models.Measurement.trial_id)
        .where(
            Trial.study_id == study.id,
            models.Measurement.replicate == "",
            models.Measurement.is_superseded.is_(False),
            *only,
        )
        .order_by(models.Measurement.id)
    )
    found: dict[int, list[Measurement]] = defaultdict(list)
    for trial_id, benchmark, score, samples, step, rule, se in rows:
        # Checked when it came in; checking thousands again would take most of the time.
        item = Measurement.model_construct(
            benchmark=benchmark, score=score, samples=samples, step=step, rule=rule, se=se
        )
        found[trial_id].append(item)
    return found
