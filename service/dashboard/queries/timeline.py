"""The machines' last day: what each was busy with, by engine and node."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from db import clock, models
from db.queue import OTHERS_S

LONGEST = timedelta(hours=24)
SHORTEST = timedelta(minutes=1)
BARS = 3000
"""Attempts drawn: those taken last."""
WORKERS = 1000

FAILED = frozenset({"failed", "expired"})
"""States of attempts that count against their trials."""
_TICKS_S = (10, 60, 300, 900, 3600, 2 * 3600, 4 * 3600)
MOST_TICKS = 6
BY_HAND, UNKNOWN = "by hand", "unknown"


@dataclass(frozen=True, slots=True)
class Bar:
    """A worker's time with a trial; `start` and `length` are fractions of the time shown."""

    study: str
    trial: int
    worker: str
    state: str
    start: float
    length: float
    lasted_s: float


@dataclass(frozen=True, slots=True)
class Lane:
    """A place on a node: one worker, or one after the other."""

    bars: Sequence[Bar]
    workers: Sequence[str]


@dataclass(frozen=True, slots=True)
class Node:
    """A machine.

    Attributes:
        engine: what started its workers.
        idle: workers that wait for a trial now.
        busy: share of the time in which a worker had a trial, of that in which one was there.
        ended: attempts that ended, by state.
    """

    engine: str
    name: str
    lanes: Sequence[Lane]
    n_working: int
    idle: Sequence[str]
    busy: float
    ended: dict[str, int]

    @property
    def n_failed(self) -> int:
        return sum(n for state, n in self.ended.items() if state in FAILED)


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment of the axis, and how long ago it is."""

    at: float
    ago: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The time since `since`, by engine and node."""

    since: datetime
    at: datetime
    nodes: Sequence[Node]

    @property
    def ticks(self) -> list[Tick]:
        whole = (self.at - self.since).total_seconds()
        step = next((s for s in _TICKS_S if whole / s <= MOST_TICKS), _TICKS_S[-1])
        return [Tick(1 - i * step / whole, _ago(i * step)) for i in range(int(whole / step) + 1)]


def _ago(seconds: int) -> str:
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


@dataclass(slots=True)
class _Life:
    """A worker's time on its node."""

    name: str
    began: datetime
    ended: datetime
    tries: list[Any] = field(default_factory=list)
    is_idle: bool = False


def read(session: Session) -> Timeline:
    """Of the workers that were there in the last day."""
    at = clock.read(session)
    since = at - LONGEST
    tries = [row for row in _tries(session) if (row.ended_at or at) > since]
    tried: dict[str, list[Any]] = defaultdict(list)
    for row in tries:
        tried[row.worker].append(row)
    people = session.execute(
        select(models.Worker)
        .where(or_(models.Worker.last_seen_at > since, models.Worker.name.in_(list(tried))))
        .order_by(models.Worker.last_seen_at.desc())
        .limit(WORKERS)
    ).scalars()
    lives: dict[tuple[str, str], list[_Life]] = defaultdict(list)
    for worker in people:
        lives[_place(worker)].append(_life(worker, tried[worker.name], since, at))
    all_lives = [life for found in lives.values() for life in found]
    begins = min((life.began for life in all_lives), default=at)
    since = min(begins, at - SHORTEST)
    nodes = [_node(*place, found, since, at) for place, found in sorted(lives.items())]
    return Timeline(since, at, nodes)


def _tries(session: Session) -> Sequence[Any]:
    """The newest attempts, the oldest of them first."""
    query = (
        select(
            models.Attempt.worker,
            models.Attempt.state,
            models.Attempt.claimed_at,
            models.Attempt.ended_at,
            models.Trial.number,
            models.Study.name.label("study"),
        )
        .join(models.Trial, models.Trial.id == models.Attempt.trial_id)
        .join(models.Study, models.Study.id == models.Trial.study_id)
        .order_by(models.Attempt.id.desc())
        .limit(BARS)
    )
    return session.execute(query).all()[::-1]


def _place(worker: models.Worker) -> tuple[str, str]:
    """Engine and node, as the worker said them."""
    said = worker.capabilities
    labels = said.get("labels")
    engine = labels.get("engine") if isinstance(labels, dict) else None
    return _text(engine) or BY_HAND, _text(said.get("host")) or UNKNOWN


def _text(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""


def _life(worker: models.Worker, tries: list[Any], since: datetime, at: datetime) -> _Life:
    ends = [row.ended_at or at for row in tries]
    asked_at = worker.last_seen_at
    # Who asked after its last trial waits for another; who did not may have ended with it.
    is_idle = (
        all(row.ended_at is not None and row.ended_at <= asked_at for row in tries)
        and (at - asked_at).total_seconds() < OTHERS_S
    )
    began = min([worker.first_seen_at, *(row.claimed_at for row in tries)])
    ended = at if is_idle else max([asked_at, *ends])
    return _Life(worker.name, max(began, since), min(ended, at), tries, is_idle)


def _node(engine: str, name: str, lives: list[_Life], since: datetime, at: datetime) -> Node:
    lanes: list[list[_Life]] = []
    for life in sorted(lives, key=lambda life: (life.began, life.name)):
        free = next((lane for lane in lanes if lane[-1].ended <= life.began), None)
        lanes.append([life]) if free is None else free.append(life)
    drawn = [
        Lane(
            [_bar(row, since, at) for life in lane for row in life.tries],
            [life.name for life in lane],
        )
        for lane in lanes
    ]
    whole = (at - since).total_seconds()
    there = sum((lane[-1].ended - lane[0].began).total_seconds() for lane in lanes) / whole
    busy = sum(bar.length for lane in drawn for bar in lane.bars)
    states = Counter(row.state for life in lives for row in life.tries)
    return Node(
        engine,
        name,
        drawn,
        n_working=sum(any(row.ended_at is None for row in life.tries) for life in lives),
        idle=[life.name for life in lives if life.is_idle],
        busy=min(1.0, busy / there) if there > 0 else 0.0,
        ended={state: n for state, n in sorted(states.items()) if state != "live"},
    )


def _bar(row: Any, since: datetime, at: datetime) -> Bar:
    whole = (at - since).total_seconds()
    began, ended = max(row.claimed_at, since), min(row.ended_at or at, at)
    return Bar(
        row.study,
        row.number,
        row.worker,
        "running" if row.state == "live" else row.state,
        (began - since).total_seconds() / whole,
        max(0.0, (ended - began).total_seconds()) / whole,
        ((row.ended_at or at) - row.claimed_at).total_seconds(),
    )
