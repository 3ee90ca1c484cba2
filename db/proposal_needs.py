"""What studies need proposed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, and_, bindparam, case, func, or_, select, type_coerce
from sqlalchemy.orm import Session

from db.clock import HOUR_S
from db.models import PART, Study, Trial
from db.queue import FAILURES_IN_A_ROW
from db.specs import ABSENT
from db.trial_states import UNDER_WAY

_IS_UNSTARTED = and_(Trial.state == "queued", Trial.origin == "proposed", Trial.attempt_number == 0)
_IS_STALE = and_(_IS_UNSTARTED, func.coalesce(Trial.proposed_at_results, -1) < Study.results)
# Merged models that a person queued may have to wait for experts: they keep no worker busy.
_IS_AHEAD = and_(Trial.state == "queued", or_(Trial.channel == "full", Trial.origin == "proposed"))
_IS_RUN_UNDER_WAY = and_(Trial.channel == "full", Trial.state.in_(UNDER_WAY))
_COUNTS = (
    select(
        Trial.study_id,
        *(
            func.count(case((condition, 1))).label(name)
            for name, condition in {
                "queued": Trial.state == "queued",
                "ahead": _IS_AHEAD,
                "running": Trial.state == "running",
                "paused": Trial.state == "paused",
                "failed": Trial.state == "failed",
                "unstarted": _IS_UNSTARTED,
                "stale": _IS_STALE,
            }.items()
        ),
        func.sum(case((_IS_RUN_UNDER_WAY, Trial.share), else_=0.0)).label("runs"),
    )
    .join(Study, Study.id == Trial.study_id)
    .where(
        Trial.study_id.in_(bindparam("of_studies", expanding=True)),
        Trial.state.in_((*UNDER_WAY, "failed")),
    )
    .group_by(Trial.study_id)
)
_LOOKAHEAD = func.coalesce(
    type_coerce(Study.spec, JSON)["lookahead"].as_integer(), ABSENT["lookahead"]
)
_COMPLETED = Study.results - Study.attached - Study.merged - Study.unspent
_LEFT_S = Study.gpu_hours * HOUR_S - Study.gpu_s
_AHEAD = func.count(case((_IS_AHEAD, 1)))
_COMMITTED = func.coalesce(func.sum(case((Trial.channel == "full", Trial.share), else_=0.0)), 0.0)
# The same as `Standing.missing` and `Standing.outdated`, of all studies at once: this is asked many
# times a second. Trials that are queued or running are few, and found by the index.
_IN_NEED = (
    select(Study.name)
    .outerjoin(Trial, and_(Trial.study_id == Study.id, Trial.state.in_(UNDER_WAY)))
    .where(Study.state == "active", Study.failing < FAILURES_IN_A_ROW)
    .group_by(Study.id)
    .having(
        or_(
            func.count(case((_IS_STALE, 1))) > 0,
            and_(
                _AHEAD < _LOOKAHEAD,
                Study.budget > _COMMITTED + _COMPLETED + PART,
                or_(
                    Study.gpu_hours.is_(None),
                    Study.gpu_s == 0,
                    and_(_COMPLETED == 0, _LEFT_S > 0),
                    and_(_COMPLETED > 0, (_COMMITTED + 1) * Study.gpu_s <= _LEFT_S * _COMPLETED),
                ),
            ),
        )
    )
    .order_by(Study.proposer_errors, Study.id)
)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a study's trials stand; everything that decides whether to propose.

    Attributes:
        unstarted: proposals that no worker has ever held.
        stale: those of them made before the newest result.
        failed: trials that have failed for good, ever.
        failing: those of them since the last result, or since the study was resumed.
        budget: as `Study.planned`.
        gpu_hours: the budget in GPU-hours, where it is this that ends the search.
        ahead: queued trials that keep a worker busy: all but merged models that a person queued.
        runs: training runs whose results are still to come: the budget counts them alone, and of
            those that the search trains in part that part.
        completed: trials with a result that the budget counts: none that was attached or merged.
        room: runs that the budget still allows to propose.
        proposed_out: `mark` of where the strategy had nothing more to propose.
    """

    study: str
    study_id: int
    state: str
    budget: int
    gpu_hours: float | None
    lookahead: int
    results: int
    last_number: int
    revision: int
    edits: int
    queued: int
    ahead: int
    running: int
    paused: int
    runs: float
    completed: float
    room: int
    unstarted: int
    stale: int
    failed: int
    failing: int
    error: str | None
    proposed_out: str | None

    @property
    def committed(self) -> float:
        return self.runs + self.completed

    @property
    def under_way(self) -> int:
        """Trials whose results are still to come."""
        return self.queued + self.running + self.paused

    @property
    def is_done(self) -> bool:
        """The budget is used, and nothing is under way any more."""
        return self.completed + PART >= self.budget and not self.under_way

    @property
    def mark(self) -> str:
        """The same as long as a strategy would be told the same."""
        return f"{self.results}/{self.last_number}/{self.failed}/{self.budget}/{self.edits}"

    @property
    def is_out(self) -> bool:
        """The strategy has nothing more to propose, and nothing is under way that may change it."""
        return self.proposed_out == self.mark and not self.under_way

    @property
    def left(self) -> int:
        """Trials whose results may still come: under way, or not proposed yet."""
        if self.state == "finished":
            return self.running
        return self.under_way + (0 if self.is_out else self.room)

    @property
    def is_stuck(self) -> bool:
        return self.failing >= FAILURES_IN_A_ROW

    @property
    def missing(self) -> int:
        """Proposals to make now so that `lookahead` trials are ready."""
        if self.state != "active" or self.is_stuck:
            return 0
        return max(0, min(self.lookahead - self.ahead, self.room))

    @property
    def outdated(self) -> int:
        """Proposals to make anew now."""
        return self.stale if self.state == "active" and not self.is_stuck else 0


def standings(session: Session, studies: Sequence[Study]) -> list[Standing]:
    """Counts of each study's trials, in one question however many there are. The completed ones,
    which grow to be many, count themselves as the study's results."""
    rows = session.execute(_COUNTS, {"of_studies": [study.id for study in studies]})
    counts = {row.study_id: row for row in rows}
    return [_standing(study, counts.get(study.id)) for study in studies]


def standing(session: Session, study: Study) -> Standing:
    """Counts of one study's trials."""
    return standings(session, [study])[0]


def _standing(study: Study, counts: Any) -> Standing:
    runs = counts.runs if counts else 0.0
    return Standing(
        study=study.name,
        study_id=study.id,
        state=study.state,
        budget=study.planned,
        gpu_hours=study.gpu_hours if study.planned < study.budget else None,
        lookahead=study.spec["lookahead"],
        results=study.results,
        last_number=study.last_number,
        revision=study.revision,
        edits=study.edits,
        queued=counts.queued if counts else 0,
        ahead=counts.ahead if counts else 0,
        running=counts.running if counts else 0,
        paused=counts.paused if counts else 0,
        runs=runs,
        completed=study.completed,
        room=study.room(runs),
        unstarted=counts.unstarted if counts else 0,
        stale=counts.stale if counts else 0,
        failed=counts.failed if counts else 0,
        failing=study.failing,
        error=study.proposer_error,
        proposed_out=study.proposed_out,
    )


def in_need(session: Session) -> list[str]:
    """Names of the studies that want proposals, oldest first, but those whose strategy fails last:
    they may take long."""
    return list(session.scalars(_IN_NEED))
