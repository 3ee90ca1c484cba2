"""Studies, their answer, and their export."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from db import studies
from service.context import Actor, Service, StudyName
from service.errors import invalid
from service.fitting.best import BEST_BY
from service.fitting.best import best as best_answer
from service.http.guards import by_method, route_behind
from service.http.paging import that_fit
from service.http.problems import describe
from service.schemas import (
    BestAnswer,
    Name,
    Study,
    StudyCost,
    StudyPage,
    StudyPatch,
    StudySpec,
    TrainerName,
)
from service.study import checks, cost, exports, views

PAGE = 100
"""Studies a page at most."""

router = APIRouter(prefix="/studies", tags=["studies"], route_class=route_behind(by_method))


@router.post(
    "",
    status_code=201,
    summary="Create a study",
    responses={
        200: {"model": Study, "description": "It exists with this very body."},
        201: {"description": "Created."},
        **describe(409),
    },
)
def create(body: StudySpec, service: Service, actor: Actor, response: Response) -> Study:
    """The same body again answers 200 and changes nothing; another body of this name is 409. A
    recipe that cannot be run, or lacks a domain or a benchmark of the study's, is 422."""
    checks.strategy(body.strategy)
    checks.space(body)
    checks.channels(body)
    checks.measurements(body, body.baseline)
    exports.check(body)
    with service.database.write() as session:
        row, is_new = studies.create(session, body.model_dump(mode="json"), actor)
        if is_new:
            checks.earlier(session, body)
        if is_new and (fault := service.presets.fault(body)) is not None:
            raise invalid(f"{fault} (study {body.name!r})")
        counts = studies.trial_counts(session, [row.id])
        answer = views.study(row, counts[row.id])
    if not is_new:
        response.status_code = 200
    service.proposer.wake()
    return answer


@router.get("", summary="List studies, newest first", responses=describe(404))
def page(
    service: Service,
    before: Annotated[Name | None, Query(description="Only studies older than this one.")] = None,
) -> StudyPage:
    """As many as fit an answer; `before` the last of them, there may be more."""
    with service.database.read() as session:
        rows, has_more = studies.page(session, before=before, limit=PAGE)
        counts = studies.trial_counts(session, [row.id for row in rows])
        shown = that_fit(views.study(row, counts[row.id]) for row in rows)
        return StudyPage(studies=shown, more=has_more or len(shown) < len(rows))


@router.get("/{study}", summary="Read a study", responses=describe(404))
def one(study: StudyName, service: Service) -> Study:
    with service.database.read() as session:
        row = studies.get(session, study)
        return views.study(row, studies.trial_counts(session, [row.id])[row.id])


@router.patch(
    "/{study}",
    summary="Pause, resume, finish; change budget, channels or note",
    responses=describe(404),
)
def patch(study: StudyName, body: StudyPatch, service: Service, actor: Actor) -> Study:
    """What is left out stays. Pausing stops `next`; running trials go on."""
    if not body.model_dump(exclude_none=True):
        raise invalid("nothing to change: give state, budget, gpu_hours, search or note")
    with service.database.write() as session:
        if body.search is not None:
            spec = views.spec(studies.get(session, study))
            checks.channels(spec.model_copy(update={"search": body.search}))
        row = studies.patch(
            session,
            study,
            actor,
            state=body.state,
            budget=body.budget,
            gpu_hours=body.gpu_hours,
            note=body.note,
            channels=None if body.search is None else body.search.channels,
            early_stopping=None if body.search is None else body.search.early_stopping,
        )
        answer = views.study(row, studies.trial_counts(session, [row.id])[row.id])
    service.proposer.wake()
    return answer


@router.get("/{study}/cost", summary="GPU-hours used and left", responses=describe(404))
def cost_of(study: StudyName, service: Service) -> StudyCost:
    """What attempts have cost: the time they held their trial, times the GPUs of their worker."""
    with service.database.read() as session:
        return cost.read(session, studies.get(session, study), by_trial=True)


@router.get("/{study}/best", summary="The best mixture so far", responses=describe(404))
def best(
    study: StudyName,
    service: Service,
    surrogate: Annotated[
        str, Query(description="Whose prediction to add.", max_length=64)
    ] = BEST_BY,
) -> BestAnswer:
    """The mixture to train, by the mean of its runs, beside uniform weights, with the surrogate's
    view of it and the surrogate's own best predicted mixture."""
    return best_answer(service.database, service.fits, study, surrogate)


@router.get(
    "/{study}/export",
    summary="All trials as CSV or JSON, or the best mixture as YAML",
    response_class=Response,
    responses={
        200: {
            "description": "The file.",
            "content": {"text/csv": {}, "application/json": {}, "application/yaml": {}},
        },
        **describe(404, 409),
    },
)
def export(
    study: StudyName,
    service: Service,
    format: Annotated[  # noqa: A002 - the name on the wire
        Literal["csv", "json", "yaml"], Query(description="csv and json: trials; yaml: the best.")
    ] = "csv",
    trainer: Annotated[
        TrainerName | None, Query(description="With yaml: in this trainer's own options.")
    ] = None,
) -> Response:
    content, media_type = exports.export(service.database, study, format, trainer)
    name = f"{study}-{trainer}" if trainer else study
    return Response(
        content,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}.{format}"'},
    )
