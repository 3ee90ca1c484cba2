"""A study and its trials as the arrays the engine takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from db import begun, models, studies, trials
from service.schemas import Score, StudySpec
from service.search.counts import counted
from service.search.goals import Goal
from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.study import engine_terms, headline, views
from service.study.headline import Standing, Tried
from service.study.runs import MeasuredRun, Run, channel_of, n_whole, read_runs

LEAST_SHARE = 0.5
"""Of the weight of another study's run that its domains here have, so that it is taken."""


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

    @property
    def why_none_to_train(self) -> str:
        """Why there is no mixture to train, where that is so."""
        if not self.completed:
            return "no completed run yet"
        n = counted(len(self.completed), "completed run")
        return f"none of {n} is a mixture that the study allows since it was changed"

    def train_this(self) -> Tried[MeasuredRun] | None:
        """The mixture to train; None before the first run."""
        return self.standing().best


def read(session: Session, study: models.Study) -> Evidence:
    """The study's evidence. Reads columns, not whole trials: there may be thousands."""
    spec = views.spec(study)
    under_way: dict[int, int | None] = dict(trials.paused_steps(session, study))
    if spec.search.early_stopping:
        under_way |= dict.fromkeys(begun.running(session, study))
    completed, partial, beside = read_runs(session, study, spec, under_way)
    others, gone = _others(session, study, spec)
    channels, notes = _channels(session, spec, others)
    notes += gone
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


def named(session: Session, study: str) -> Evidence:
    """The evidence of a study by its name.

    Raises:
        StudyNotFound: there is none.
    """
    return read(session, studies.get(session, study))


def _others(
    session: Session, study: models.Study, spec: StudySpec
) -> tuple[list[models.Study], list[str]]:
    """The other studies whose runs are evidence, each once though it be named by a former name,
    too; and which are gone, in words."""
    others: dict[int, models.Study] = {}
    gone = []
    for named in spec.evidence:
        other = studies.taken(session, study, named.study)
        if other is None and studies.find(session, named.study) is not None:
            gone.append(
                f"study {named.study!r}, named as evidence, is not there any more: what is called "
                "so now was made later; to take that, take the name out of evidence, then add it"
            )
        elif other is None:
            gone.append(f"study {named.study!r}, named as evidence, is not there any more")
        elif other.id != study.id:
            others[other.id] = other
    return list(others.values()), gone


def _left_out(completed: Sequence[Run], others: Sequence[Sequence[Run]]) -> list[str]:
    """What is no evidence where the search proposes schedules, in words."""
    n = len({run.id for runs in others for run in runs} - {run.id for run in completed})
    if n == 0:
        return []
    return [
        f"{counted(n, 'run')} that ended on the way, or had other phases than the search proposes, "
        f"{'is' if n == 1 else 'are'} not taken"
    ]


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
        found, _, _ = read_runs(session, other, spec, {})
        share = engine_terms.weights(spec, [run.mixture for run in found]).sum(axis=1)
        taken = [
            replace(run, mixture={d: w / part for d, w in run.mixture.items() if d in here})
            for run, part in zip(found, share, strict=True)
            if part >= LEAST_SHARE
        ]
        n_scored = n_whole(session, other)
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
