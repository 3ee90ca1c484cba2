"""Many trials of a study in one call: runs from elsewhere, and a choice that is changed."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from sqlalchemy.orm import Session

from db import models, proposals, steering, studies, tags, trials
from db.errors import WrongState
from service.context import Actor, Service, StudyName
from service.http.guards import by_method, route_behind
from service.http.problems import describe
from service.schemas import (
    TrialChanged,
    TrialsChange,
    TrialsChanged,
    TrialsImport,
    TrialsImported,
)
from service.study import run_imports

router = APIRouter(tags=["trials"], route_class=route_behind(by_method))


@router.post(
    "/studies/{study}/trials/import",
    summary="Add finished runs from elsewhere",
    responses=describe(404),
)
def import_(study: StudyName, body: TrialsImport, service: Service, actor: Actor) -> TrialsImported:
    """All of them, or none where the study cannot have one. Runs that it has already, of the same
    mixture and scores, are not added again, so that the same call again adds nothing."""
    answer = run_imports.take(service.database, study, body.runs, actor, dry_run=body.dry_run)
    if answer.numbers:
        service.proposer.wake()
    return answer


@router.post(
    "/studies/{study}/trials/bulk",
    summary="Cancel, retry or tag a choice of trials",
    responses=describe(404),
)
def bulk(study: StudyName, body: TrialsChange, service: Service, actor: Actor) -> TrialsChanged:
    """Each is done or refused for itself, and the answer says which. Twice is once."""
    numbers = list(dict.fromkeys(body.numbers))
    with service.database.write() as session:
        row = studies.get(session, study)
        # All of them before a change, which locks the study.
        held = {trial.number: trial for trial in trials.lock_all(session, row, numbers)}
        found = {
            number: _changed(session, number, held.get(number), row, body, actor)
            for number in numbers
        }
        if body.action == "retry":
            wanted = [held[number].id for number in numbers if found[number].done]
            proposals.withdraw_surplus(session, row, but=wanted)
    if any(item.changed for item in found.values()):
        service.proposer.wake()
    shown = [found[number] for number in numbers]
    return TrialsChanged(trials=shown, n_done=sum(item.done for item in shown))


def _changed(
    session: Session,
    number: int,
    trial: models.Trial | None,
    study: models.Study,
    body: TrialsChange,
    actor: str,
) -> TrialChanged:
    if trial is None:
        absent = f"study {study.name!r} has no trial {number}"
        return TrialChanged(number=number, done=False, changed=False, why=absent)
    before = trial.revision
    why: str | None = None
    try:
        _change(session, trial, body, actor)
    except WrongState as error:
        why = str(error)
    return TrialChanged.model_validate(
        {
            "number": number,
            "done": why is None,
            "changed": trial.revision != before,
            "state": trial.state,
            "tags": tags.parted(trial.tags),
            "why": why,
        }
    )


def _change(session: Session, trial: models.Trial, body: TrialsChange, actor: str) -> None:
    match body.action:
        case "cancel":
            steering.cancel(session, trial.id, actor)
        case "retry":
            steering.retry(session, trial.id, actor)
        case "tag" | "untag":
            trials.tag(session, trial.id, _tags(trial, body), actor)


def _tags(trial: models.Trial, body: TrialsChange) -> Sequence[str]:
    """Those that it is to have.

    Raises:
        WrongState: they are more than a trial may have.
    """
    has = tags.parted(trial.tags)
    if body.action == "untag":
        return [tag for tag in has if tag not in body.tags]
    wanted = list(dict.fromkeys([*has, *body.tags]))
    if len(wanted) > tags.MOST:
        raise WrongState(f"{trial.called} would have {len(wanted)} tags, more than {tags.MOST}")
    return wanted
