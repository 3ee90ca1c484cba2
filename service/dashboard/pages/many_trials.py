"""What the page of trials does to many of them: runs from a file, changes of those chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator

from db import studies
from db.texts import storable
from service.context import Actor, Service, StudyName
from service.dashboard.dependencies import GuardedRoute, acting
from service.dashboard.queries.forms import Unset
from service.dashboard.rendering import piece
from service.notation.table_text import BadTable
from service.routes import many_trials as calls
from service.schemas import (
    RunImport,
    Tag,
    TrialsChange,
    TrialsChanged,
    TrialsImport,
    TrialsImported,
)
from service.study import run_outcome, run_table, views

router = APIRouter(
    prefix="/ui/studies/{study}/trials", include_in_schema=False, route_class=GuardedRoute
)


async def _content(request: Request) -> bytes:
    return await request.body()


Content = Annotated[bytes, Depends(_content)]
FileName = Annotated[str, Query(min_length=1, max_length=200), AfterValidator(storable)]


@router.post("/bulk", dependencies=acting)
def bulk(study: StudyName, body: TrialsChange, service: Service, actor: Actor) -> TrialsChanged:
    return calls.bulk(study, body, service, actor)


@router.post("/import", dependencies=acting)
def import_(
    study: StudyName,
    content: Content,
    service: Service,
    actor: Actor,
    name: FileName = "the file",
    tag: Annotated[Tag | None, Unset, Query()] = None,
    is_dry: Annotated[bool, Query(alias="dry_run")] = True,
) -> dict[str, Any]:
    """Imports the body, the content of a file, or says what would become of it: in HTML, with how
    many runs are new, and whether they were added."""
    with service.database.read() as session:
        spec = views.spec(studies.get(session, study))
    try:
        table = run_table.read(spec, content, name, [] if tag is None else [tag])
    except BadTable as error:
        return _answer(None, str(error), study, is_dry=is_dry)

    def take(runs: Sequence[RunImport], is_dry_run: bool) -> TrialsImported:
        body = TrialsImport(runs=list(runs), dry_run=is_dry_run)
        return calls.import_(study, body, service, actor)

    return _answer(run_outcome.imported(table, take, dry_run=is_dry), None, study, is_dry=is_dry)


def _answer(
    outcome: run_outcome.Outcome | None, error: str | None, study: str, *, is_dry: bool
) -> dict[str, Any]:
    can_be_had = outcome is not None and not outcome.n_wrong
    html = piece("_import.html", outcome=outcome, error=error, study=study, is_dry=is_dry, most=10)
    return {
        "html": html,
        "new": outcome.n_new if outcome is not None and can_be_had else 0,
        "added": len(outcome.numbers) if outcome is not None else 0,
    }
