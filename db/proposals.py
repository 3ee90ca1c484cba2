"""Queued proposals, while no worker has held them: made anew, withdrawn, kept within the budget."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from db import events, states
from db.models import PART, Study, Trial
from db.trials import NewTrial


def unstarted(session: Session, study: Study, *, lock_them: bool = False) -> list[Trial]:
    """Proposed trials that no worker has ever held, by number: these may still change."""
    query = (
        select(Trial)
        .where(
            Trial.study_id == study.id,
            Trial.state == "queued",
            Trial.origin == "proposed",
            Trial.attempt_number == 0,
        )
        .order_by(Trial.number)
        .execution_options(populate_existing=True)
    )
    if lock_them:
        query = query.with_for_update(skip_locked=True)
    return list(session.scalars(query))


def renew(session: Session, trial: Trial, new: NewTrial) -> None:
    """Says anew what is foreseen of an unstarted proposal, whose mixture stays. The caller holds
    its lock."""
    trial.proposed_at_results = new.proposed_at_results
    if _foreseen(trial.proposal) == _foreseen(new.proposal):
        return
    trial.proposal = new.proposal
    events.changed(session, trial.study_id, actor="proposer", what=None, trial=trial)


def _foreseen(proposal: dict[str, Any] | None) -> dict[str, Any]:
    """A proposal without its seed, which is another at every result."""
    return {key: value for key, value in (proposal or {}).items() if key != "seed"}


def replace(
    session: Session,
    trial: Trial,
    new: NewTrial,
) -> None:
    """Gives an unstarted proposal another mixture, and what of it is to be scored. The caller holds
    its lock."""
    replaced, trial.channel = trial.mixture, new.channel
    trial.stop_at, trial.share = new.stop_at, new.share
    trial.mixture, trial.schedule, trial.proposal = new.mixture, new.schedule, new.proposal
    trial.proposed_at_results = new.proposed_at_results
    events.changed(
        session,
        trial.study_id,
        actor="proposer",
        what="proposal-replaced",
        trial=trial,
        replaced=replaced,
    )


def outdate(session: Session, study: Study) -> None:
    """Has all unstarted proposals made anew: what they were chosen by is not the same any more."""
    session.execute(
        update(Trial)
        .where(
            Trial.study_id == study.id,
            Trial.state == "queued",
            Trial.origin == "proposed",
            Trial.attempt_number == 0,
        )
        .values(proposed_at_results=None)
        .execution_options(synchronize_session=False)
    )


def note_new_scores(session: Session, study_id: int) -> None:
    """Has those unstarted proposals made anew that go by scores: there are some that they do not
    know, though no result came. The caller holds the study's row; what others hold of them is left.
    """
    study = session.get_one(Study, study_id)
    session.refresh(study, ["results"])
    for trial in unstarted(session, study, lock_them=True):
        if trial.proposed_at_results is not None:
            trial.proposed_at_results = min(trial.proposed_at_results, study.results - 1)


def still_hold(session: Session, proposals: Sequence[int], results: int) -> None:
    """Notes that unstarted proposals are as good as if they were made at so many results."""
    session.execute(
        update(Trial)
        .where(Trial.id.in_(proposals), Trial.state == "queued", Trial.attempt_number == 0)
        .values(proposed_at_results=results)
        .execution_options(synchronize_session=False)
    )


def withdraw(session: Session, trial: Trial, why: str) -> None:
    """Cancels an unstarted proposal by the study's own doing. The caller holds its lock."""
    trial.is_withdrawn, trial.error = True, f"withdrawn: {why}"
    states.move(session, trial, "cancelled", actor="service", what="withdrawn")


def withdraw_surplus(session: Session, study: Study, but: Collection[int] = ()) -> None:
    """Cancels unstarted proposals, newest first, until the rest fits the budget.

    Holds the study's row, so that no one else changes the budget or stores proposals meanwhile.

    Args:
        but: ids of trials that a person wants, so they stay.
    """
    session.refresh(
        study,
        ["budget", "gpu_hours", "gpu_s", "results", "attached", "merged", "unspent"],
        with_for_update={"key_share": True},
    )
    # Less than a run too much is the last one's, which less than a run was left for.
    surplus = math.floor(committed(session, study) - study.planned + PART)
    if surplus <= 0:
        return
    newest_first = unstarted(session, study, lock_them=True)[::-1]
    runs = [trial for trial in newest_first if trial.channel == "full" and trial.id not in but]
    for trial in runs[:surplus]:
        withdraw(session, trial, f"over the budget of {study.planned} trials")


def committed(session: Session, study: Study) -> float:
    """Runs that use the budget: with a result or under way, but none that was attached; parts of
    runs as such."""
    return session.execute(
        select(func.coalesce(func.sum(Trial.share), 0.0))
        .select_from(Trial)
        .where(
            Trial.study_id == study.id,
            Trial.state.in_((*states.UNDER_WAY, *sorted(states.RESULTS))),
            Trial.origin != "attached",
            Trial.channel == "full",
        )
    ).scalar_one()
