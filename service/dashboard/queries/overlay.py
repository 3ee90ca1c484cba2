"""Chosen trials of a study with their learning curves, to be laid over each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from db import curves, models, trials
from service.dashboard.charts.curves import POINTS
from service.errors import invalid
from service.schemas import Curve, Measurement, Score, StudySpec, Trial
from service.study import cost, learned, views
from service.study.learned import Learned

MOST = 12
"""Trials at once: of more, no line can be followed."""


@dataclass(frozen=True, slots=True)
class Laid:
    """One of the trials.

    Attributes:
        scores: of the objective by the step it was scored at, in their order.
        learned: the metric in a few numbers; None where the run said nothing of it.
    """

    trial: Trial
    curve: Curve
    scores: Mapping[int, Score]
    learned: Learned | None


@dataclass(frozen=True, slots=True)
class Overlay:
    """Trials in the order in which they were chosen.

    Attributes:
        metrics: that some run spoke of, and the one that is shown.
        metric: the one that is shown, also if no run spoke of it.
    """

    study: StudySpec
    laid: Sequence[Laid]
    metrics: Sequence[str]
    metric: str

    @property
    def numbers(self) -> list[int]:
        return [one.trial.number for one in self.laid]


def read(session: Session, study: models.Study, ids: Sequence[int], metric: str | None) -> Overlay:
    """The trials of the study with these ids, each once.

    Raises:
        Refused: they are too many.
    """
    wanted = list(dict.fromkeys(ids))
    if len(wanted) > MOST:
        raise invalid(
            f"curves of {MOST} trials are laid over each other at most, not {len(wanted)}"
        )
    spec = views.spec(study)
    rows = [trials.get(session, trial_id) for trial_id in wanted]
    found = [
        (views.trial(row, spec), views.curve(row, curves.read(session, row), None, POINTS))
        for row in rows
    ]
    spoken = {name for _, curve in found for name in curve.names}
    names = {name for name in spoken if not name.startswith(cost.DRAWN)}
    usual = learned.USUAL if learned.USUAL in names or not names else min(names)
    shown = metric or usual
    laid = [
        Laid(trial, curve, _by_step(spec, trial.measurements), learned.learned(curve, shown))
        for trial, curve in found
    ]
    return Overlay(spec, laid, sorted(names | {shown}), shown)


def _by_step(spec: StudySpec, measured: Sequence[Measurement]) -> dict[int, Score]:
    by_step: defaultdict[int, list[Measurement]] = defaultdict(list)
    for item in measured:
        by_step[item.step].append(item)
    scores = {step: spec.scores(found).objective for step, found in sorted(by_step.items())}
    return {step: score for step, score in scores.items() if score is not None}
