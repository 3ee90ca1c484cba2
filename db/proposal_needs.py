"""Who proposes for a study just now, and what it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, and_, bindparam, case, func, or_, select, type_coerce, update
from sqlalchemy.orm import Session

from db import events
from db.clock import HOUR_S, after, now
from db.models import PART, Study, Trial
from db.queue import FAILURES_IN_A_ROW
from db.specs import ABSENT
from db.trial_states import UNDER_WAY

LONGEST_REST_S = 300.0
"""Of a strategy that keeps failing."""

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


@dataclass(frozen=True, slots=True)
class Trouble:
    """How the study's strategy failed when it was last asked, and whether it is left alone now."""

    error: str
    rests: bool


def trouble(session: Session, name: str) -> Trouble | None:
    """None when the strategy did well, or was not asked yet."""
    # An end of the rest that is further away comes of a clock that was set back.
    rests = Study.propose_again_at.between(now(), after(LONGEST_REST_S))
    error, is_resting = session.execute(
        select(Study.proposer_error, rests).where(Study.name == name)
    ).one()
    return None if error is None else Trouble(error, bool(is_resting))


def failing(session: Session) -> int:
    """Active studies whose strategy failed the last time it was asked."""
    return session.execute(
        select(func.count())
        .select_from(Study)
        .where(Study.state == "active", Study.proposer_error.is_not(None))
    ).scalar_one()


def take(session: Session, study_id: int, owner: str, lease_s: float) -> bool:
    """Makes `owner` the one that proposes for a study; False while another replica does."""
    taken = session.execute(
        update(Study)
        .where(
            Study.id == study_id,
            or_(
                Study.proposer.is_(None),
                Study.proposer == owner,
                Study.proposer_until < now(),
                Study.proposer_until > after(lease_s + 1.0),  # the clock was set back
            ),
        )
        .values(proposer=owner, proposer_until=after(lease_s))
        .returning(Study.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    return taken is not None


def renew(session: Session, owner: str, lease_s: float) -> None:
    """Extends what `owner` holds."""
    session.execute(
        update(Study)
        .where(Study.proposer == owner)
        .values(proposer_until=after(lease_s))
        .execution_options(synchronize_session=False)
    )


def end_turn(session: Session, study_id: int, owner: str) -> Study | None:
    """Ends `owner`'s turn; None when another replica has taken over meanwhile."""
    study = session.scalar(
        select(Study)
        .where(Study.id == study_id, Study.proposer == owner)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if study is not None:
        study.proposer, study.proposer_until = None, None
    return study


def give_back(
    session: Session,
    study_id: int,
    owner: str,
    error: str | None = None,
    *,
    is_out: bool = False,
) -> None:
    """Ends `owner`'s turn with what came of it; after an error the strategy rests, longer each time
    up to 5 minutes.

    Args:
        is_out: the strategy had nothing more to propose.
    """
    study = end_turn(session, study_id, owner)
    if study is None:
        return
    if error is None:
        study.proposer_error, study.proposer_errors, study.propose_again_at = None, 0, None
        study.proposed_out = standing(session, study).mark if is_out else None
        return
    is_new = study.proposer_error != error
    study.proposer_error = error
    study.proposer_errors += 1
    rest_s = 2.0 ** min(study.proposer_errors, 60)  # no float holds what comes after days of errors
    study.propose_again_at = after(min(LONGEST_REST_S, rest_s))
    session.flush()
    if is_new:
        events.changed(session, study_id, actor="proposer", what="proposing-failed", error=error)
