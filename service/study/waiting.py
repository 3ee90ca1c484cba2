"""Why no trial of a study runs, or can be given away, in words for people."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import models, owners, proposal_needs, queue, sharing, studies
from db.models import Attempt, Trial
from db.proposal_needs import Standing
from db.sharing import Ability
from service.search.counts import all_done, counted
from service.study import merge_waits

LONGEST_WAIT_S = 30.0
"""Until a worker asks again, whatever it waits for."""

NO_STORE = (
    "its merged models wait for a worker that has the store of the experts' weights "
    "(modomodo worker --store URL)"
)

LONGEST_ERROR = 200
"""Characters of a trial's error that a message has."""


def why_idle(session: Session, row: models.Study, counts: dict[str, int]) -> str | None:
    """Why nothing of a study runs now; None while something does.

    Args:
        counts: of the study's trials, as by `studies.trial_counts`.
    """
    if counts.get("running") and row.state == "active":
        return None
    if (spent := over_quota(session, row)) is not None:
        return f"study {row.name!r}: {spent}"
    queued = counts.get("queued", 0)
    is_stuck = proposal_needs.standing(session, row).is_stuck
    if row.state == "active" and queued and not is_stuck:
        held_back = merge_waits.held_back(session, row)
        if held_back is not None and not _has_runs_queued(session, row):
            return f"study {row.name!r}: {held_back}"
        what = f"{counted(queued, 'trial')} {'is' if queued == 1 else 'are'} queued"
        back = came_back(session, row.id)
        return f"study {row.name!r}: {what}, and no worker runs one" + (f"; {back}" if back else "")
    return for_a_trial(session, row.name)[0]


def over_quota(session: Session, row: models.Study) -> str | None:
    """Why no trial of an active study is given out while its owner has no GPU-hours left; None
    where it has, or where there is no trial to come."""
    spent = owners.used_up(session, [row.owner]) if row.state == "active" else {}
    if not spent or proposal_needs.standing(session, row).is_done:
        return None
    return _spent(spent[str(row.owner)])


def _spent(usage: owners.Usage) -> str:
    return (
        f"its owner {usage.name!r} has used {_hours(usage.used)} of its "
        f"{_hours(usage.gpu_hours or 0.0)} GPU-hours, so none of its trials is given out until "
        "there are more (modomodo owner set)"
    )


def _hours(hours: float) -> str:
    return f"{hours:,.1f}" if hours >= 10 else f"{hours:.3g}"


def _has_runs_queued(session: Session, row: models.Study) -> bool:
    is_run = (Trial.study_id == row.id, Trial.state == "queued", Trial.channel == "full")
    return session.scalar(select(Trial.id).where(*is_run).limit(1)) is not None


def came_back(session: Session, study_id: int) -> str | None:
    """Which queued trials workers have failed or handed back, how often, and why the last time;
    None where there are none."""
    is_back = (Trial.study_id == study_id, Trial.state == "queued", Trial.error.is_not(None))
    found = session.execute(
        select(Trial.id, Trial.number, Trial.error)
        .where(*is_back)
        .order_by(Trial.revision.desc())
        .limit(1)
    ).one_or_none()
    if found is None:
        return None
    n = session.scalar(select(func.count()).select_from(Trial).where(*is_back)) or 1
    times = session.scalar(
        select(func.count())
        .select_from(Attempt)
        .where(Attempt.trial_id == found.id, Attempt.state.in_(("failed", "expired", "released")))
    )
    often = "once" if times == 1 else f"{times} times"
    who = f"trial {found.number} came back from its workers {often}"
    if n > 1:
        who = (
            f"{n} of them came back from their workers, trial {found.number} last ({often} so far)"
        )
    return f"{who}: {last_line(found.error)[:LONGEST_ERROR]}"


def last_line(text: str | None) -> str:
    """What a traceback ends with: its last line that is not blank."""
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def for_a_trial(
    session: Session,
    name: str | None,
    worker: str = "",
    *,
    can_merge: bool = True,
    ability: Ability | None = None,
    owner: str | None = None,
) -> tuple[str, float | None]:
    """Why there is no trial to give to a worker, and after how many seconds to ask again (None:
    nothing more comes by itself).

    Args:
        can_merge: whether the worker takes trials of channel `merged`.
        ability: what it has, by which studies pass it over; None for one that has everything.
        owner: whose studies alone it serves; None for all.
    """
    if name is not None:
        found = [studies.get(session, name)]
    else:
        # The finished ones, which grow to be many, only matter where there is no other.
        found = _served(studies.everyone(session, "active", "paused"), owner)
        found = found or _served(studies.everyone(session), owner)
    served = _served(found, owner)
    if not served:
        return _none_served(found, owner)
    spent = owners.used_up(session, {row.owner for row in served})
    reasons: list[tuple[str, float | None]] = []
    for row, now in zip(served, proposal_needs.standings(session, served), strict=True):
        lacks = [] if ability is None else sharing.lacking(row.spec["requires"], ability)
        if lacks and now.state == "active" and not now.is_done:
            reasons.append((f"study {now.study!r} requires {', '.join(lacks)}", None))
            continue
        if row.owner in spent and now.state == "active" and not now.is_done:
            reasons.append((f"study {now.study!r}: {_spent(spent[row.owner])}", None))
            continue
        due_in_s, merged = None, None
        if now.state == "active" and now.queued:
            ready, merged = merge_waits.queued(session, row)
            due_in_s = queue.due_in_s(session, now.study_id, worker, ready if can_merge else [])
            if ready:
                merged = NO_STORE
        reasons.append(_of_one(now, due_in_s, merged))
    return min(reasons, key=lambda item: (item[1] is None, item[1] or 0.0))


def _served(found: Sequence[models.Study], owner: str | None) -> list[models.Study]:
    return [row for row in found if owner in (None, row.owner)]


def _none_served(asked: Sequence[models.Study], owner: str | None) -> tuple[str, float | None]:
    """Where there is no study, or none for a key of this owner, or not the one asked for."""
    if owner is None:
        return "there is no study yet", 10.0
    if not asked:
        return f"owner {owner!r} has no study yet, and this key serves that one's alone", 10.0
    row = asked[0]
    whose = "no owner" if row.owner is None else f"owner {row.owner!r}"
    return f"study {row.name!r} belongs to {whose}, and this key serves owner {owner!r} alone", None


def _of_one(
    now: Standing, due_in_s: float | None, merged: str | None = None
) -> tuple[str, float | None]:
    """Of one study; `due_in_s` as by `queue.due_in_s`, `merged` what its queued merged models wait
    for."""
    where = f"study {now.study!r}"
    if now.state == "finished":
        return f"{where} is finished", None
    if now.state == "paused":
        return f"{where} is paused", 30.0
    if now.is_done:
        return f"{where} is finished: {all_done(now.budget, now.gpu_hours)}", None
    if due_in_s == 0:
        return f"{where}: others were quicker", 0.5
    if due_in_s is not None:
        return (
            f"{where}: what is queued failed or was handed back just now, and is given away again "
            f"in {due_in_s:.0f} s; the trials say why",
            min(max(due_in_s, 0.5), LONGEST_WAIT_S),
        )
    if now.is_stuck:
        return (
            f"{where}: the last {now.failing} trials failed, so no more are proposed or given "
            "away; see their errors, then retry one or pause and resume the study",
            LONGEST_WAIT_S if now.running else None,
        )
    if merged is not None and now.room == 0:
        return f"{where}: {merged}", 5.0 if now.running else None
    if now.room == 0:
        if now.running == 0 and now.paused:
            return f"{where}: {_paused(now.paused)}", LONGEST_WAIT_S
        also = f", and {_paused(now.paused)}" if now.paused else ""
        return f"{where}: the last {now.running} of its {now.budget} trials are running{also}", 5.0
    if now.error is not None:
        return f"{where}: {now.error}; tried again soon", 5.0
    if now.is_out:
        return (
            f"{where}: its strategy has nothing more to propose; {now.completed:g} of the budget's "
            f"{now.budget} trials are done",
            None,
        )
    also = f", or wait for the scores of {now.running} running trials" if now.running else ""
    said = "" if merged is None else f"; {merged}"
    return f"{where}: proposals are being made{also}{said}", 1.0


def _paused(n: int) -> str:
    return (
        f"{counted(n, 'trial')} of its budget {'is' if n == 1 else 'are'} paused, until someone "
        f"continues or stops {'it' if n == 1 else 'them'}"
    )
