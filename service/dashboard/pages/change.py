"""The page where a study is changed: the form of a new one filled in, its state, its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import ValidationError

from db import archive, studies
from db.errors import StorageError
from service.context import Actor, CallerDependency, Service, StudyName
from service.dashboard import edit_form, session, study_form
from service.dashboard.dependencies import StudyBoard, acting, copying, guarded
from service.dashboard.form_fields import FormFields
from service.dashboard.navigation import StudyLink
from service.dashboard.queries.boards import Board
from service.dashboard.rendering import render
from service.dashboard.study_form import FormError
from service.errors import Refused, invalid
from service.http.guards import check_owner
from service.plain_errors import listed, located, plain
from service.routes import studies as calls
from service.schemas import StudyClone, StudyPatch
from service.search.strategies import STRATEGIES
from service.study import edits

LINK = StudyLink("change", "Change")
router = APIRouter(prefix="/ui/studies/{study}", include_in_schema=False)


async def _typed(request: Request) -> FormFields:
    return FormFields.of_body(await request.body(), study_form.ROWS)


SubmittedForm = Annotated[FormFields, Depends(_typed)]


@router.get("/change", dependencies=guarded)
def form(request: Request, board: StudyBoard, service: Service) -> HTMLResponse:
    """The form as the study is now."""
    return _as_it_is(request, board, service)


@router.post("/change", dependencies=acting)
def change(request: Request, typed: SubmittedForm, board: StudyBoard, service: Service) -> Response:
    """Changes the study and leads to it; else the form again, with what is wrong at its fields."""
    was = typed["was"]
    if typed["add"] in study_form.ROWS:
        more = typed.with_rows(typed["add"], len(typed.rows(typed["add"])) + 1)
        return _form(request, board, service, more, was)
    name = board.study.name
    try:
        patch = edit_form.read(typed, edit_form.sent_along(was), board.study)
        if patch.model_fields_set:
            name = calls.patch(name, patch, service, request.state.caller.name).name
    except FormError as wrong:
        return _form(request, board, service, typed, was, wrong.messages)
    except StorageError as error:
        return _form(request, board, service, typed, was, {"name": str(error)})
    except Refused as refused:
        return _form(request, board, service, typed, was, {"": refused.detail})
    return RedirectResponse(f"/ui/studies/{name}", 303)


@router.post("/state", dependencies=acting)
def state(typed: SubmittedForm, study: StudyName, service: Service, actor: Actor) -> Response:
    """Pauses, resumes or finishes the study."""
    try:
        patch = StudyPatch.model_validate({"state": typed["state"]})
    except ValidationError as error:
        raise invalid(listed(map(located, error.errors()))) from error
    calls.patch(study, patch, service, actor)
    return RedirectResponse(f"/ui/studies/{study}", 303)


@router.post("/clone", dependencies=copying)
def clone(
    request: Request,
    typed: SubmittedForm,
    board: StudyBoard,
    service: Service,
    actor: Actor,
    caller: CallerDependency,
) -> Response:
    """Creates a study like this one, paused, and leads to where it is changed."""
    try:
        wanted = StudyClone.model_validate({"name": typed["clone"]})
        made = calls.clone(board.study.name, wanted, service, actor, Response(), caller.owner)
        check_owner(caller, made.name, made.owner)  # one that was there already
        calls.patch(made.name, StudyPatch(state="paused"), service, actor)
    except ValidationError as error:
        return _as_it_is(request, board, service, {"clone": plain(error.errors()[0])})
    except (Refused, StorageError) as error:
        return _as_it_is(request, board, service, {"clone": _said(error)})
    return RedirectResponse(f"/ui/studies/{made.name}/change", 303)


@router.post("/delete", dependencies=acting)
def delete(request: Request, typed: SubmittedForm, board: StudyBoard, service: Service) -> Response:
    """Deletes the study where its name was typed."""
    try:
        calls.delete(board.study.name, service, typed["confirm"])
    except (Refused, StorageError) as error:
        return _as_it_is(request, board, service, {"confirm": _said(error)})
    return RedirectResponse("/", 303)


def _said(error: Refused | StorageError) -> str:
    return error.detail if isinstance(error, Refused) else str(error)


@router.get("/archive", dependencies=[Depends(session.require_admin)])
def archived(study: StudyName, service: Service) -> Response:
    """All that is stored of the study, for `modomodo study import`."""
    with service.database.read() as found:
        row = studies.get(found, study)
        content = json.dumps(archive.dump(found, row.name), allow_nan=False)
        name = row.name
    headers = {"Content-Disposition": f'attachment; filename="{name}-archive.json"'}
    return Response(content, media_type="application/json", headers=headers)


def _as_it_is(
    request: Request, board: Board, service: Service, wrong: Mapping[str, str] | None = None
) -> HTMLResponse:
    typed = edit_form.of_study(board.study)
    return _form(request, board, service, typed, edit_form.written(typed), wrong)


def _form(
    request: Request,
    board: Board,
    service: Service,
    typed: FormFields,
    was: str,
    wrong: Mapping[str, str] | None = None,
) -> HTMLResponse:
    with service.database.read() as found:
        told = edits.history(found, studies.get(found, board.study.name))
    for name in ("domains", "limits"):
        typed = typed.with_rows(name, max(1, len(typed.rows(name))))
    return render(
        request,
        "change.html",
        board=board,
        study=board.study,
        typed=typed,
        was=was,
        wrong=wrong or {},
        strategies=STRATEGIES,
        reach=study_form.REACH,
        place=study_form.place,
        changes=told,
    )
