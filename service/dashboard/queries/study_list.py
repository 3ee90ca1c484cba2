"""All studies as a list: found by a text or their condition, in the order of a column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import cost, proposal_needs, studies
from db.clock import HOUR_S
from db.models import Trial
from db.proposal_needs import Standing
from db.trial_states import WHOLE
from service.dashboard.queries import boards
from service.dashboard.queries.boards import Board
from service.dashboard.queries.forms import Sought, Unset
from service.dashboard.queries.history import Histories

Condition = Literal["active", "waiting", "stuck", "paused", "finished"]
CONDITIONS: dict[Condition, str] = {
    "active": "trials run",
    "waiting": "it is active, but nothing runs: it waits for a worker, or for proposals",
    "stuck": "it is active, but proposals fail, or one trial after the other has failed",
    "paused": "no trial is given out",
    "finished": "its budget is used, or it was ended",
}
"""What a study does now, and what that means."""

Order = Literal[
    "created", "name", "condition", "done", "best", "gain", "workers", "gpu_hours", "result"
]


class Wanted(BaseModel):
    """Which studies, in which order; in addresses, so that a view can be sent to somebody."""

    model_config = ConfigDict(extra="forbid")

    text: Sought = ""
    """In the name, the owner's, the note, or a domain's name."""
    condition: Annotated[Condition | None, Unset] = None
    sort: Order = "created"
    rising: bool = False

    def query(self, **changes: Any) -> str:
        """The query of an address with this view, changed; what is as usual is left out."""
        wanted, usual = self.model_dump() | changes, Wanted().model_dump()
        kept = {key: value for key, value in wanted.items() if value != usual[key]}
        if "rising" in kept:
            kept["rising"] = "true"
        return urlencode(kept)

    def turned(self, order: Order) -> str:
        """The query with the studies in an order: the highest first, or the other way round if
        they are in it already. Names begin with the first."""
        is_now = self.sort == order
        return self.query(sort=order, rising=not self.rising if is_now else order == "name")


@dataclass(frozen=True, slots=True)
class Line:
    """A study.

    Attributes:
        gpu_hours: of all its attempts so far.
        result_at: when the newest of its whole runs was completed.
    """

    board: Board
    condition: Condition
    gpu_hours: float
    result_at: datetime | None

    @property
    def name(self) -> str:
        return self.board.study.name


@dataclass(frozen=True, slots=True)
class Lines:
    """The studies that are wanted, of `n_all`."""

    lines: Sequence[Line]
    n_all: int
    wanted: Wanted


def read(session: Session, histories: Histories, wanted: Wanted) -> Lines:
    """The studies that are wanted."""
    rows = studies.everyone(session)
    every = boards.everyone(session, histories)
    standings = proposal_needs.standings(session, rows)
    running = cost.running(session, [row.id for row in rows])
    results = dict(
        session.execute(
            select(Trial.study_id, func.max(Trial.finished_at))
            .where(Trial.state == WHOLE)
            .group_by(Trial.study_id)
        ).all()
    )
    lines = [
        Line(
            board,
            condition(board, now),
            row.gpu_s / HOUR_S + running.get(row.id, 0.0),
            results.get(row.id),
        )
        for row, board, now in zip(rows, every, standings, strict=True)
    ]
    found = [line for line in lines if _is_wanted(line, wanted)]
    return Lines(_sorted(found, wanted), len(lines), wanted)


def condition(board: Board, standing: Standing) -> Condition:
    """What a study does now."""
    study = board.study
    if study.state != "active":
        return study.state
    if study.trials["running"]:
        return "active"
    has_none = standing.error is not None and not study.trials["queued"]
    return "stuck" if standing.is_stuck or has_none else "waiting"


def _is_wanted(line: Line, wanted: Wanted) -> bool:
    if wanted.condition not in (None, line.condition):
        return False
    text = wanted.text.strip().casefold()
    study = line.board.study
    said = (line.name, study.owner or "", study.note, *line.board.domains)
    return any(text in part.casefold() for part in said)


def _sorted(lines: list[Line], wanted: Wanted) -> list[Line]:
    """In the wanted order; those without a value last, equal ones the newest first."""
    of = _VALUES[wanted.sort]
    known = [line for line in lines if of(line) is not None]
    known.sort(key=of, reverse=not wanted.rising)
    return known + [line for line in lines if of(line) is None]


_VALUES: dict[Order, Callable[[Line], Any]] = {
    "created": lambda line: line.board.study.created_at,
    "name": lambda line: line.name.casefold(),
    "condition": lambda line: list(CONDITIONS).index(line.condition),
    "done": lambda line: line.board.n_done,
    "best": lambda line: line.board.history.best and line.board.history.best.score.value,
    "gain": lambda line: line.board.history.gain and line.board.history.gain.value,
    "workers": lambda line: line.board.n_workers,
    "gpu_hours": lambda line: line.gpu_hours,
    "result": lambda line: line.result_at,
}
