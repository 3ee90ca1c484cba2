"""A study and its trials as the arrays the engine takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from db import begun, models, studies, trials
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
from service.search.counts import counted
from service.search.goals import Goal
from service.search.runs import SCHEDULED, Runs
from service.search.space import MixtureSpace
from service.study import engine_terms, headline, schedules, views
from service.study.headline import Standing, Tried

_OF_RUN = (
    *(Trial.id, Trial.number, Trial.state, Trial.mixture, Trial.channel),
    Trial.schedule,
)
LEAST_SHARE = 0.5
"""Of the weight of another study's run that its domains here have, so that it is taken."""


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


R = TypeVar("R", bound=Run)


@dataclass(frozen=True, slots=True)
class MeasuredRun(Run):
    """The same with all that the engine needs."""

    scores: Scores
    benchmarks: dict[str, Measurement]
    """The last measurement of each benchmark."""
    for_heuristics: Scores
    """The scores that heuristics go by: `scores`, or their averages over steps."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a study knows: its space and its completed trials that have an objective.

    Attributes:
        completed: in order of trial number, like `runs`, whose channels are what trials scored that
            were stopped early, have paused, or may be stopped by the search (`step-S`), models
            merged of experts (`merged`), runs whose mixture changed on the way (`scheduled`), and
            the runs of the other studies that this one takes as evidence (`study-NAME`). Where
            the search proposes schedules, runs with its phases are among the completed ones, and
            there are no channels.
        measured: `runs` with all benchmarks that the study's goal looks at, those that its
            objective does not weigh, too.
        partial: trials under way whose scores so far count, by id, and of which step they are.
        others: versions of the other studies when they were read.
        notes: what of them is not taken, in words.
        version: of the study when it was read; the same, with the same `partial` and `others`, and
            the same channels and notes, means the same evidence.
    """

    version: models.Version
    spec: StudySpec
    space: MixtureSpace
    completed: tuple[MeasuredRun, ...]
    measured: Runs
    partial: tuple[tuple[int, int], ...] = ()
    others: tuple[models.Version, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def runs(self) -> Runs:
        """As the objective scores them."""
        return self.measured.weighed()

    @property
    def goal(self) -> Goal | None:
        """What the study wants beside, or instead of, its objective."""
        return engine_terms.goal(self.spec)

    @property
    def used(self) -> list[str]:
        """The domains that are not dropped, in the study's order."""
        return [name for name in self.space.domains if name not in self.spec.dropped]

    @property
    def uniform(self) -> dict[str, float]:
        """Equal weights of these."""
        used = self.used
        return dict.fromkeys(used, 1 / len(used))

    def standing(self) -> Standing[MeasuredRun]:
        """The mixture to train, and what it is compared with."""
        runs = (
            engine_terms.allowed(self.spec, self.completed)
            if self.version.edits
            else self.completed
        )
        direction = self.spec.objective.direction
        return headline.standing(runs, direction, self.goal, self.spec.dropped)

    def train_this(self) -> Tried[MeasuredRun] | None:
        """The mixture to train; None before the first run."""
        return self.standing().best


def read(session: Session, study: models.Study) -> Evidence:
    """The study's evidence. Reads columns, not whole trials: there may be thousands."""
    spec = views.spec(study)
    under_way: dict[int, int | None] = dict(trials.paused_steps(session, study))
    if spec.search.early_stopping:
        under_way |= dict.fromkeys(begun.running(session, study))
    completed, partial, beside = _completed(session, study, spec, under_way)
    wanted = [studies.find(session, named.study) for named in spec.evidence]
    others = [other for other in wanted if other is not None]
    channels, notes = _channels(session, spec, others)
    runs = _runs(spec, completed)
    if spec.search.schedule is not None:
        notes += _left_out(completed, [*partial.values(), *beside.values()])
        partial, beside = {}, {}
    if partial or beside:  # which scores are of one training run matters only now
        channels |= {
            channel_of(step): _runs(spec, found, are_told=True)
            for step, found in sorted(partial.items())
        }
        channels |= {name: _runs(spec, found, are_told=True) for name, found in beside.items()}
        runs = _runs(spec, completed, are_told=True)
    return Evidence(
        version=study.version,
        spec=spec,
        space=engine_terms.space(spec),
        completed=tuple(completed),
        measured=replace(runs, channels=channels),
        partial=tuple(
            (run.id, step)
            for step, found in partial.items()
            for run in found
            if run.id in under_way
        ),
        others=tuple(other.version for other in others),
        notes=tuple(notes),
    )


def _completed(
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


def _left_out(completed: Sequence[Run], others: Sequence[Sequence[Run]]) -> list[str]:
    """What is no evidence where the search proposes schedules, in words."""
    n = len({run.id for runs in others for run in runs} - {run.id for run in completed})
    if n == 0:
        return []
    return [
        f"{counted(n, 'run')} that ended on the way, or had other phases than the search proposes, "
        f"{'is' if n == 1 else 'are'} not taken"
    ]


def _outputs(spec: StudySpec, last: Mapping[str, Measurement]) -> tuple[float, ...]:
    """What the study's goal looks at."""
    weights = engine_terms.output_weights(spec).values() if spec.has_goal else ()
    return tuple(Score.weighted(last.values(), each).value for each in weights)


def _n_full(session: Session, study: models.Study) -> int:
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


def _channels(
    session: Session, spec: StudySpec, others: Sequence[models.Study]
) -> tuple[dict[str, Runs], list[str]]:
    """The runs of other studies as channels `study-NAME`, and what of them is not taken.

    Mixtures are made of this study's domains: weight on others is left out, and the rest scaled up
    to a sum of 1. A run that had most of its weight there is no evidence here.
    """
    channels, notes = {}, []
    here = {domain.name for domain in spec.domains}
    for other in others:
        of = f"study {other.name!r}"
        theirs = {domain["name"] for domain in other.spec["domains"]}
        for names, what in (
            (theirs - here, "are not in this study: their weight is left out"),
            (here - theirs, "are not in it: its runs have weight 0 there"),
        ):
            if names:
                notes.append(f"{of}: domains {', '.join(sorted(names))} {what}")
        found, _, _ = _completed(session, other, spec, {})
        share = engine_terms.weights(spec, [run.mixture for run in found]).sum(axis=1)
        taken = [
            replace(run, mixture={d: w / part for d, w in run.mixture.items() if d in here})
            for run, part in zip(found, share, strict=True)
            if part >= LEAST_SHARE
        ]
        n_scored = _n_full(session, other)
        if len(found) < n_scored:
            wanted = ", ".join(spec.needed_benchmarks())
            notes.append(
                f"{of}: {n_scored - len(found)} of {counted(n_scored, 'run')} lack a score of "
                f"{wanted}, and are not taken"
            )
        if len(taken) < len(found):
            notes.append(
                f"{of}: {counted(len(found) - len(taken), 'run')} had most of the weight on "
                "domains that are not in this study, and are not taken"
            )
        if taken:
            channels[f"study-{other.name}"] = _runs(spec, taken)
    return channels, notes


def scored(
    session: Session, study: models.Study, spec: StudySpec, after: int = 0
) -> tuple[list[Run], set[int]]:
    """Runs by number that changed after a revision, and the numbers of all trials that did.

    They are the runs of `read`, with their objective alone, which takes a third of the time.
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


def named(session: Session, study: str) -> Evidence:
    """The same of a study by its name.

    Raises:
        StudyNotFound: there is none.
    """
    return read(session, studies.get(session, study))


def runs_of(known: Evidence, benchmark: str) -> Runs:
    """The completed trials that a benchmark was measured in, scored by it alone."""
    measured = [run for run in known.completed if benchmark in run.benchmarks]
    items = [run.benchmarks[benchmark] for run in measured]
    unknown = np.full(len(items), np.nan)
    return Runs(
        weights=engine_terms.weights(known.spec, [run.mixture for run in measured]),
        score=np.array([item.score for item in items]),
        noise_sd=np.array([item.sampling_error() for item in items]),
        in_score=unknown,
        out_score=unknown,
        schedules=_schedules(known.spec, measured),
    )


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


def _runs(spec: StudySpec, completed: Sequence[MeasuredRun], *, are_told: bool = False) -> Runs:
    """The trials as the engine takes them; `are_told`: each with its own number as a run."""

    def values(scores: Sequence[Score | None]) -> NDArray[np.float64]:
        return np.array([np.nan if score is None else score.value for score in scores])

    weighed = spec.objective_weights()
    total = sum(weighed.values())
    shares = {name: weighed.get(name, 0.0) for name in spec.needed_benchmarks()}
    measured = [[run.benchmarks[name] for name in shares] for run in completed]
    shape = (len(completed), len(shares))
    return Runs(
        weights=engine_terms.weights(spec, [run.mixture for run in completed]),
        score=values([run.score for run in completed]),
        noise_sd=np.array([run.score.se for run in completed]),
        in_score=values([run.for_heuristics.in_score for run in completed]),
        out_score=values([run.for_heuristics.out_score for run in completed]),
        benchmarks=np.array([[m.score for m in row] for row in measured]).reshape(shape),
        benchmark_sd=np.array([[m.sampling_error() for m in row] for row in measured]).reshape(
            shape
        ),
        shares=np.array(list(shares.values())) / total,
        run=np.array([run.id for run in completed] if are_told else [], dtype=np.intp),
        schedules=_schedules(spec, completed),
    )


def _schedules(spec: StudySpec, completed: Sequence[Run]) -> NDArray[np.float64]:
    """Points of the runs where the search proposes schedules and one of the runs had one."""
    if spec.search.schedule is None or not any(run.schedule for run in completed):
        return np.empty((0, 0))
    return engine_terms.points(spec, [(run.mixture, run.schedule) for run in completed])
