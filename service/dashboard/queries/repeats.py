"""Which trials of a study ran the same, so that they differ by chance alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from db import models
from db.models import Trial
from service.dashboard.queries import boards
from service.schemas import Trial as Shown
from service.search.space import SAME
from service.study import headline, views
from service.study.repeats import Repeats, Weights, is_near, weights_of

SHOWN = 12
"""Trials that are told one by one: the newest."""

READ = 100
"""Trials whose scores are read."""

UNDONE = ("failed", "cancelled")

COMPARED = 3
"""Heaviest domains by which the database leaves out most of the trials that are not alike."""

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Same:
    """Other trials of the same mixture or schedule that were not called off and did not fail.

    Attributes:
        trials: the newest of the `n`, by number.
        repeats: what the whole runs scored, this trial's and theirs; None unless there are several.
    """

    trials: Sequence[Shown]
    n: int
    repeats: Repeats | None


def read(session: Session, study: models.Study, trial: Shown) -> Same:
    """Those of a trial of the study."""
    numbers = others(session, study, trial, Trial.state.not_in(UNDONE))
    if not numbers:
        return Same((), 0, None)
    query = boards.of_study(study).where(Trial.number.in_(numbers[-READ:]))
    spec = views.spec(study)
    rows = session.scalars(query.order_by(Trial.number)).all()
    found = [views.trial(row, spec) for row in rows]
    return Same(found[-SHOWN:], len(numbers), Repeats.of([trial, *found]))


def others(
    session: Session, study: models.Study, trial: Shown, *only: ColumnElement[bool]
) -> list[int]:
    """Numbers of the other trials of the study that run the same as one of its trials.

    Args:
        only: what is to hold of them besides.
    """
    own = weights_of(trial)
    rows = session.execute(
        select(Trial.number, Trial.mixture, Trial.schedule)
        .where(
            Trial.study_id == study.id,
            Trial.id != trial.id,
            Trial.channel == trial.channel,
            *_near(trial.mixture),
            *only,
        )
        .order_by(Trial.number)
    )
    return [
        number
        for number, mixture, schedule in rows
        if is_near(own, headline.told_apart(mixture, schedule))
    ]


def all_others(session: Session, study: models.Study) -> dict[int, list[int]]:
    """The same of every trial of a study that has others, by its number."""
    rows = session.execute(
        select(Trial.number, Trial.channel, Trial.mixture, Trial.schedule)
        .where(Trial.study_id == study.id)
        .order_by(Trial.number)
    )
    kinds: defaultdict[tuple[str, int], list[tuple[int, Weights]]] = defaultdict(list)
    for number, channel, mixture, schedule in rows:
        kinds[channel, len(schedule or ())].append((number, headline.told_apart(mixture, schedule)))
    found: dict[int, list[int]] = {}
    for kind in kinds.values():
        for places in headline.alike([weights for _, weights in kind]):
            numbers = [kind[place][0] for place in places]
            if len(numbers) > 1:
                found |= {n: [other for other in numbers if other != n] for n in numbers}
    return found


def _near(mixture: Mapping[str, float]) -> list[ColumnElement[bool]]:
    """What holds of each mixture that is the same, and of few others."""
    heaviest = sorted(mixture, key=lambda name: -mixture[name])[:COMPARED]
    reach = SAME + ROUNDING
    return [
        func.coalesce(Trial.mixture[name].as_float(), 0.0).between(
            mixture[name] - reach, mixture[name] + reach
        )
        for name in heaviest
    ]
