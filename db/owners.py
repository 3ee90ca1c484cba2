"""Owners: teams that keys and studies belong to, and the GPU-hours that each may use.

A study's hours are its owner's for good: those of deleted studies are kept here, and those of one
that is given away go with it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import BindParameter, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db import cost, events
from db.clock import HOUR_S
from db.errors import OwnerNotFound
from db.models import LIVE, Attempt, Owner, Study, Trial


@dataclass(frozen=True, slots=True)
class Usage:
    """What an owner has used.

    Attributes:
        gpu_hours: that it may use; None for as many as it likes.
        used: GPU-hours of its studies so far, deleted ones and live attempts too.
        running: those of them by live attempts.
        studies: that it has now.
    """

    name: str
    gpu_hours: float | None
    used: float
    running: float
    studies: int

    @property
    def is_used_up(self) -> bool:
        """Whether no trial of its studies is given out any more."""
        return self.gpu_hours is not None and self.used >= self.gpu_hours


_OF: BindParameter[str] = bindparam("of", expanding=True)
_KNOWN = select(Owner.name, Owner.gpu_hours, Owner.deleted_gpu_s).where(Owner.name.in_(_OF))
_ENDED = (
    select(Study.owner, func.sum(Study.gpu_s), func.count())
    .where(Study.owner.in_(_OF))
    .group_by(Study.owner)
)
_RUNNING = (
    select(Study.owner, func.sum(cost.GPU_S))
    .join(Trial, Trial.study_id == Study.id)
    .join(Attempt, Attempt.trial_id == Trial.id)
    .where(Attempt.state == LIVE, Study.owner.in_(_OF))
    .group_by(Study.owner)
)


def make(session: Session, name: str) -> None:
    """Makes an owner, where there is none of this name."""
    if session.get(Owner, name) is not None:
        return
    try:
        with session.begin_nested():
            session.execute(insert(Owner), {"name": name})
    except IntegrityError:  # another call was quicker
        return


def limit(session: Session, name: str, gpu_hours: float | None) -> None:
    """Says how many GPU-hours an owner may use, which is made where there is none of this name.
    The revisions of its studies rise, so that open pages of them look again.

    Args:
        gpu_hours: None for as many as it likes.
    """
    make(session, name)
    # All are locked first: one may be deleted meanwhile. And before their owner, as by that
    # (`keep_cost`).
    of_owner = select(Study.id).where(Study.owner == name).order_by(Study.id)
    for study_id in session.scalars(of_owner.with_for_update()).all():
        events.step(session, study_id)
    session.execute(update(Owner).where(Owner.name == name).values(gpu_hours=gpu_hours))


def check(session: Session, name: str) -> None:
    """Raises:
    OwnerNotFound: there is no owner of this name.
    """
    if session.get(Owner, name) is None:
        known = ", ".join(session.scalars(select(Owner.name).order_by(Owner.name)))
        raise OwnerNotFound(f"no owner {name!r}; there {f'are {known}' if known else 'is none'}")


def usages(session: Session) -> list[Usage]:
    """What every owner has used, by name."""
    return _read(session, list(session.scalars(select(Owner.name))))


def usage(session: Session, name: str) -> Usage:
    """What an owner has used.

    Raises:
        OwnerNotFound: there is none of this name.
    """
    check(session, name)
    return _read(session, [name])[0]


def used_up(session: Session, names: Collection[str | None]) -> dict[str, Usage]:
    """Of these owners, those whose GPU-hours are used, by name; None stands for no owner."""
    asked = [name for name in names if name is not None]
    found = _read(session, asked, are_limited=True) if asked else []
    return {usage.name: usage for usage in found if usage.is_used_up}


def _read(session: Session, names: Collection[str], *, are_limited: bool = False) -> list[Usage]:
    known = session.execute(_KNOWN.order_by(Owner.name), {"of": list(names)}).all()
    if are_limited:
        known = [row for row in known if row[1] is not None]
    if not known:
        return []
    asked = {"of": [name for name, _, _ in known]}
    ended = {name: (spent, n) for name, spent, n in session.execute(_ENDED, asked)}
    running = dict(session.execute(_RUNNING, asked).all())
    found = []
    for name, gpu_hours, deleted_s in known:
        ended_s, n = ended.get(name, (0.0, 0))
        running_s = running.get(name) or 0.0
        used = (deleted_s + ended_s + running_s) / HOUR_S
        found.append(Usage(name, gpu_hours, used, running_s / HOUR_S, n))
    return found


def keep_cost(session: Session, study: Study) -> None:
    """Keeps what a study has cost with its owner, before it is deleted."""
    if study.owner is None:
        return
    session.execute(
        update(Owner)
        .where(Owner.name == study.owner)
        .values(deleted_gpu_s=Owner.deleted_gpu_s + study.gpu_s)
    )
