"""Studies, their answer, and their export."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from db import studies
from service.context import Actor, CallerOwner, Service, StudyName
from service.errors import invalid
from service.fitting import effects
from service.fitting.best import BEST_BY
from service.fitting.best import best as best_answer
from service.http.guards import by_method, for_admins, route_behind
from service.http.paging import that_fit
from service.http.problems import describe
from service.schemas import (
    BestAnswer,
    GoalAnswer,
    Name,
    Study,
    StudyChanges,
    StudyClone,
    StudyCost,
    StudyEffects,
    StudyPage,
    StudyPatch,
    StudySpec,
    TrainerName,
)
from service.study import (
    checks,
    cost,
    edits,
    evidence,
    export_columns,
    exports,
    schedules,
    views,
)

PAGE = 100
"""Studies a page at most."""

MADE: dict[int | str, dict[str, Any]] = {
    200: {"model": Study, "description": "It exists with this very body."},
    201: {"description": "Created."},
}

router = APIRouter(prefix="/studies", tags=["studies"], route_class=route_behind(by_method))
copies = APIRouter(prefix="/studies", tags=["studies"], route_class=route_behind(for_admins))
"""Calls that only read the study in their address, and make another."""


@router.post(
    "",
    status_code=201,
    summary="Create a study",
    responses={**MADE, **describe(409)},
)
def create(
    body: StudySpec,
    service: Service,
    actor: Actor,
    response: Response,
    owner: CallerOwner = None,
) -> Study:
    """The same body again answers 200 and changes nothing; another body of this name is 409. A
    recipe that cannot be run, or lacks a domain or a benchmark of the study's, is 422. It belongs
    to the owner of the key."""
    checks.strategy(body.strategy)
    checks.space(body)
    checks.channels(body)
    schedules.check_search(body)
    checks.measurements(body, body.baseline)
    export_columns.check(body)
    with service.database.write() as session:
        row, is_new = studies.create(session, body.model_dump(mode="json"), actor, owner)
        if is_new:
            checks.earlier(session, body, row)
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
    summary="Change a study: its state, budget, domains, bounds, objective, name and more",
    responses=describe(404, 409),
)
def patch(study: StudyName, body: StudyPatch, service: Service, actor: Actor) -> Study:
    """What is left out stays; the same again changes nothing. Old runs stay evidence: one from
    before a domain came has weight 0 there, and a dropped one's runs go on teaching. Queued
    proposals that no longer fit are withdrawn and made again; running trials go on. Pausing stops
    `next`."""
    if not body.fields() and body.state is None and body.name is None and not body.spread:
        raise invalid(
            "nothing to change: give state, name, spread, remove, or a field of the specification "
            "such as budget, domains, limits, objective, strategy or note"
        )
    with service.database.write() as session:
        row = edits.apply(session, study, body, actor, service.presets.fault)
        answer = views.study(row, studies.trial_counts(session, [row.id])[row.id])
    service.proposer.wake()
    return answer


@copies.post(
    "/{study}/clone",
    status_code=201,
    summary="Create a study like this one",
    responses={**MADE, **describe(404, 409)},
)
def clone(
    study: StudyName,
    body: StudyClone,
    service: Service,
    actor: Actor,
    response: Response,
    owner: CallerOwner = None,
) -> Study:
    """Its specification with another name and what else is given; no trials. To learn of its runs,
    name it in `evidence`. It belongs to the owner of the key, whoever has the other."""
    with service.database.read() as session:
        spec = edits.cloned(views.spec(studies.get(session, study)), body)
    return create(spec, service, actor, response, owner)


@router.delete(
    "/{study}",
    status_code=204,
    summary="Delete a study with its trials, for good",
    responses=describe(404, 409),
)
def delete(
    study: StudyName,
    service: Service,
    confirm: Annotated[Name, Query(description="The study's name once more.")],
) -> None:
    """Its trials, scores, curves and events go with it; `modomodo study export --format archive`
    keeps them. Refused while one of its trials is running."""
    with service.database.write() as session:
        row = studies.get(session, study)
        if confirm != row.name:
            raise invalid(f"confirm is {confirm!r}, and the study is called {row.name!r}")
        studies.delete(session, row.name)


@router.get("/{study}/changes", summary="What was changed of a study", responses=describe(404))
def changes(study: StudyName, service: Service) -> StudyChanges:
    """The newest changes, oldest first: who changed what when, with what was before."""
    with service.database.read() as session:
        return StudyChanges(changes=edits.history(session, studies.get(session, study)))


@router.get("/{study}/cost", summary="GPU-hours used and left", responses=describe(404))
def cost_of(study: StudyName, service: Service) -> StudyCost:
    """What attempts have cost: the time they held their trial, times the GPUs of their worker; by
    trial, by channel, and by the domains whose samples they drew."""
    with service.database.read() as session:
        return cost.read(session, studies.get(session, study), in_parts=True)


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
    "/{study}/front",
    summary="What a study's floors and objectives allow",
    responses=describe(404, 409),
)
def front(
    study: StudyName,
    service: Service,
    surrogate: Annotated[str, Query(description="Whose view it is.", max_length=64)] = BEST_BY,
) -> GoalAnswer:
    """The mixture that serves the study's goal best, how likely its floors are to hold, whether
    they can be kept at all, and the front of its objectives; 409 `no-goal` for a study of one
    objective without constraints."""
    with service.database.read() as session:
        known = evidence.named(session, study)
    return service.fits.goal(known, surrogate).answer


@router.get(
    "/{study}/effects",
    summary="What each domain does to the scores",
    responses=describe(404, 409),
)
def effects_of(
    study: StudyName,
    service: Service,
    surrogate: Annotated[
        Name, Query(description="Whose view it is: `bayes-quadratic` or `gp`.")
    ] = effects.BY,
) -> StudyEffects:
    """Change of the objective and of each benchmark for a tenth more of each domain,
    starting at the mixture to train, with standard deviations; the greatest first. Only mixtures
    that the study allows are looked at: `room` says how much more of a domain that is."""
    with service.database.read() as session:
        known = evidence.named(session, study)
    return effects.answer(service.fits, known, surrogate)


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
    trial: Annotated[
        int | None,
        Query(
            description="With yaml: number of the trial whose mixture, or schedule, it has.",
            ge=1,
            lt=2**31,
        ),
    ] = None,
) -> Response:
    content, media_type = exports.export(service.database, study, format, trainer, trial)
    of_one = f"trial-{trial}" if trial else None
    name = "-".join(part for part in (study, of_one, trainer) if part)
    return Response(
        content,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}.{format}"'},
    )
