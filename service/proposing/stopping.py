"""Runs that the search has paused or ended before their last step, by the rule of
`service/search/stopping.py`: read as one task, and its verdicts stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from db import begun, proposal_needs, steering, studies, trials
from service.proposing.question import Question
from service.proposing.storing import SEARCH
from service.proposing.task import question_of
from service.search.situation import Begun
from service.search.stopping import Verdict
from service.study import evidence

BUDGET_USED = "the budget is used, so nothing more of it is trained"


@dataclass(frozen=True, slots=True)
class Judging:
    """Runs to be judged, and what by.

    Attributes:
        ids: of the trials that the engine knows by number.
    """

    study_id: int
    strategy: str
    question: Question
    running: Begun
    ids: Mapping[int, int]


def read(session: Session, name: str) -> Judging | None:
    """What a study's new scores on the way are to decide; None where there are none."""
    study = studies.get(session, name)
    known = evidence.read(session, study)
    question, under_way = question_of(
        session, study, known, n=0, first=study.last_number + 1, judges=True
    )
    if not len(under_way.judged):
        return None
    return Judging(study.id, known.spec.strategy, question, under_way.judged, under_way.ids)


def store(session: Session, judging: Judging, verdict: Verdict) -> bool:
    """Has a run's worker hear what is to become of it; says whether that is to end now. Whatever a
    person said meanwhile holds. A transaction for each: it locks the study."""
    trial = trials.lock(session, judging.ids[verdict.run])
    if trial.by_hand or trial.asked is not None or trial.state not in ("running", "paused"):
        return False
    if verdict.action == "continue":
        steering.goes_on(session, trial, verdict.reason)
        return False
    steering.ask(session, trial.id, verdict.action, SEARCH, verdict.reason, by_hand=False)
    return True


def left_standing(session: Session, name: str) -> Sequence[int]:
    """Ids of the runs that stand where the budget is used and nothing else is under way: they would
    stand for ever."""
    study = studies.get(session, name)
    now = proposal_needs.standing(session, study)
    if now.state != "active" or now.room or now.queued or now.running:
        return []
    return begun.standing(session, study)


def end(session: Session, trial_id: int) -> None:
    """Ends one of them for good."""
    trial = trials.lock(session, trial_id)
    if trial.state == "paused" and not trial.by_hand:
        steering.ask(session, trial_id, "stop", SEARCH, BUDGET_USED, by_hand=False)
