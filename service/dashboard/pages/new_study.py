"""The form that creates a study. It works without JavaScript; with it, rows come without a reload.

The body that the API takes is made of it, so that its validation and messages are the API's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from db.errors import StorageError
from service.context import Service
from service.dashboard import session, study_form
from service.dashboard.dependencies import asking, guarded
from service.dashboard.form_fields import FormFields
from service.dashboard.rendering import render
from service.dashboard.study_form import FormError
from service.errors import Refused, invalid
from service.presets import Presets
from service.routes import studies as calls
from service.schemas import StudySpec
from service.search.strategies import STRATEGIES

router = APIRouter(prefix="/ui/new", include_in_schema=False)


def _presets(request: Request) -> Presets:
    presets: Presets = request.app.state.presets
    return presets


async def _typed(request: Request) -> FormFields:
    return FormFields.of_body(await request.body(), study_form.ROWS)


Offered = Annotated[Presets, Depends(_presets)]
SubmittedForm = Annotated[FormFields, Depends(_typed)]


@router.get("", dependencies=guarded)
def form(
    request: Request, presets: Offered, preset: Annotated[str | None, Query(max_length=64)] = None
) -> HTMLResponse:
    """The empty form, or one filled in with an example."""
    if preset is None:
        return _form(request, study_form.blank(), presets)
    if preset not in presets.examples:
        raise invalid(f"no preset {preset!r}; there are {', '.join(presets.examples) or 'none'}")
    return _form(request, study_form.of_example(presets.examples[preset]), presets)


@router.post("", dependencies=asking)
def create(request: Request, typed: SubmittedForm, presets: Offered, service: Service) -> Response:
    """Creates the study and leads to it; else the form again, with what is wrong at its fields."""
    if typed["add"] in study_form.ROWS:
        return _form(
            request, typed.with_rows(typed["add"], len(typed.rows(typed["add"])) + 1), presets
        )
    try:
        session.require_admin(request)
        spec = study_form.read(typed, presets)
        caller = request.state.caller
        calls.create(spec, service, caller.name, Response(), caller.owner)
    except FormError as wrong:
        return _form(request, typed, presets, wrong.messages)
    except StorageError as error:
        return _form(request, typed, presets, {"name": str(error)})
    except Refused as refused:
        if refused.code == "key-required":
            raise
        return _form(request, typed, presets, {"": refused.detail})
    return RedirectResponse(f"/ui/studies/{spec.name}", 303)


def _form(
    request: Request, typed: FormFields, presets: Presets, wrong: Mapping[str, str] | None = None
) -> HTMLResponse:
    for name, n in study_form.BLANK_ROWS.items():
        typed = typed.with_rows(name, n)
    return render(
        request,
        "new_study.html",
        typed=typed,
        wrong=wrong or {},
        presets=presets,
        strategies=STRATEGIES,
        recipe_keys=study_form.RECIPE_KEYS,
        reach=study_form.REACH,
        place=study_form.place,
        defaults=StudySpec.model_fields,
    )
