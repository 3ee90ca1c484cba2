"""What would a schedule score? Weights typed by phase, a prediction, and a place in the queue."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Response
from pydantic import Field

from db import studies
from service.context import Actor, Context, Service, StudyName
from service.dashboard import dependencies
from service.dashboard.dependencies import GuardedRoute, HistoryCache, acting, asking
from service.dashboard.pages.what_if import TOLERANCE, Scale, expected, why_moved
from service.dashboard.rendering import piece
from service.errors import NoFit, invalid
from service.routes import trials as calls
from service.schemas import SUM_TOLERANCE, Body, Name, Phase, Score, TrialCreate
from service.schemas.spec import MOST_PHASES
from service.search.schedules import ScheduleSpace, mean_of, named_phases
from service.search.space import FloatArray
from service.study import engine_terms
from service.study.evidence import Evidence

router = APIRouter(
    prefix="/ui/studies/{study}/what-if", include_in_schema=False, route_class=GuardedRoute
)

BY = "bayes-quadratic"
"""The surrogate that learns from schedules."""


class TypedPhases(Body):
    """Weights in each phase as they were typed; they need not sum to 1, nor fit the study."""

    phases: Annotated[
        list[dict[Name, Annotated[float, Field(ge=0.0, le=1.0)]]],
        Field(min_length=2, max_length=MOST_PHASES),
    ]


class ChosenSchedule(Body):
    """A schedule of the study, as `/schedule` answered it."""

    schedule: list[Phase]


@router.post("/schedule", dependencies=asking)
def schedule(
    study: StudyName, body: TypedPhases, service: Service, histories: HistoryCache
) -> dict[str, Any]:
    """The nearest schedule that the study may run, and what is expected of it: against equal
    weights, and against its mean mixture throughout."""
    known = dependencies.fittable_evidence(service, histories, study)
    spec, within = known.spec, engine_terms.search_space(known.spec)
    if not isinstance(within, ScheduleSpace) or len(body.phases) != within.n_phases:
        raise invalid(f"the search of study {spec.name!r} proposes no schedules of such phases")
    wished = engine_terms.weights(spec, body.phases)
    total = wished.sum(axis=1, keepdims=True)
    if not (total > 0).all():
        raise invalid(f"phase {int(np.argmin(total)) + 1} has no weight; give a domain some")
    wished = (within.shares[:, None] * wished / total).ravel()
    point = wished if within.contains(wished, SUM_TOLERANCE) else within.project(wished)
    moved = float(np.abs(point - wished).max()) > TOLERANCE
    mean = mean_of(point[None], known.space.m)[0]
    phases = named_phases(known.space, within.shares, within.phases(point))
    try:
        found = _expected_of_schedule(service, known, within, point[None])
    except NoFit as refused:
        found = {"trouble": refused.detail, "expected": []}
    with service.database.read() as session:
        history = histories.of(session, studies.get(session, study), spec)
    html = piece(
        "_schedule.html",
        study=spec,
        mixture=known.space.named(mean),
        phases=phases,
        why=why_moved(known.space, mean_of(wished[None], known.space.m)[0]) if moved else [],
        surrogate=BY,
        history=history,
        scale=Scale.of(history),
        **found,
    )
    return {"schedule": phases, "html": html}


def _expected_of_schedule(
    service: Context, known: Evidence, within: ScheduleSpace, X: FloatArray
) -> dict[str, Any]:
    """What is predicted of the point (1, P m) of a schedule, for its template."""
    uniform = engine_terms.points(known.spec, [(known.uniform, None)])
    against = np.vstack([uniform, within.and_plainer(X)[1:]])
    mean, sd = (float(part[0]) for part in service.fits.predict(known, BY, X))
    gains, _ = service.fits.differences(known, BY, {}, np.vstack([X, X]), against)
    over_uniform, over_mean = (
        Score(value=float(gain), se=float(se)) for gain, se in zip(*gains, strict=True)
    )
    return {
        "trouble": None,
        "mean": mean,
        "sd": sd,
        "gain": over_uniform,
        "over_mean": over_mean,
        "expected": expected(service, known, BY, X, uniform),
        "of_each": Scale.of_benchmarks(known),
    }


@router.post("/queue-schedule", dependencies=acting)
def queue_schedule(
    study: StudyName, body: ChosenSchedule, service: Service, actor: Actor
) -> dict[str, int]:
    """Queues the schedule as if by hand."""
    trial = calls.add(study, TrialCreate(schedule=body.schedule), service, actor, Response())
    return {"number": trial.number}
