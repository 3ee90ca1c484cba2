"""The one place where stored trials meet the engine: proposals are made ahead of being asked for.

A thread looks at every active study: is a trial missing in the queue, or is a queued proposal older
than the newest result? Then it reads what the study knows, lets the strategy propose in the
engine's process, and stores the answer for as many trials as are still nobody's. One replica at a
time does so for a study, by a lease in the database. When the strategy fails, or hangs until it is
ended, seeds and then random mixtures keep the workers busy until it works again; those that no
worker has by then give way to its proposals.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db import models, proposing, queue, studies, trials
from db.proposing import Standing
from db.sessions import Database
from service.executor.process import Engine, Inline, Stopping
from service.fitting.views import finite
from service.schemas import Proposal, StudySpec
from service.search.counts import all_done
from service.search.openings import opening_size
from service.search.situation import Proposed
from service.search.space import SAME, total_variation
from service.search.strategies import BLIND, propose
from service.study import evidence, views
from service.study.evidence import Evidence

log = structlog.get_logger()

LEASE_S = 15.0
"""How long a replica may be silent before another takes over its proposing."""

LONGEST_WAIT_S = 30.0
"""Until a worker asks again, whatever it waits for."""

PAUSE_S = 0.1
"""Between two looks: a busy fleet calls far more often than proposals are needed."""

STAND_IN = "seed"
"""What proposes when a study's strategy fails: seeds not yet tried, then random mixtures."""


@dataclass(frozen=True, slots=True)
class Task:
    """One question to the engine; equal tasks get equal answers.

    Attributes:
        replace: ids of the queued proposals that the first answers take the place of.
        replaced: (r, m) their mixtures.
        pending: (p, m) mixtures whose scores are still to come.
        avoid: (k, m) mixtures whose scores will never come: failed for good or called off.
        budget: completed runs after which the search ends, those that were attached among them.
    """

    study: str
    known: Evidence
    replace: tuple[int, ...]
    replaced: NDArray[np.float64]
    pending: NDArray[np.float64]
    avoid: NDArray[np.float64]
    n: int
    seed: int
    budget: int
    based_on: tuple[int, ...]


def read_task(session: Session, name: str, *, only_gaps: bool = False) -> Task | None:
    """What a study needs proposed now, if anything; with `only_gaps` what is queued stays."""
    study = studies.get(session, name)
    standing = proposing.standing(session, study)
    missing, outdated = standing.missing, 0 if only_gaps else standing.outdated
    if missing == 0 and outdated == 0:
        return None
    spec = views.spec(study)
    stale, good = _stale(session, study) if outdated else ([], set())
    replaced = [trial for trial in stale if trial.id not in good]
    n = len(replaced) + missing
    if n == 0:
        return None
    replace = {trial.id for trial in replaced}
    pending = _mixtures_in(session, study, ("queued", "running"), replace)
    avoid = _mixtures_in(session, study, ("failed", "cancelled"), replace)
    first = replaced[0].number if replaced else study.last_number + 1
    return Task(
        study=name,
        known=evidence.read(session, study),
        replace=tuple(trial.id for trial in replaced),
        replaced=evidence.weights(spec, [trial.mixture for trial in replaced]),
        pending=evidence.weights(spec, pending),
        avoid=evidence.weights(spec, avoid),
        n=n,
        seed=proposal_seed(spec.seed, study.results, first),
        budget=study.budget + study.attached,
        based_on=(study.results, study.last_number, len(pending), len(avoid), study.budget),
    )


def proposal_seed(study_seed: int, results: int, number: int) -> int:
    """Seed of a proposal: the same study in the same state proposes the same."""
    digest = hashlib.sha256(f"proposal/{study_seed}/{results}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31


def still_good(session: Session, name: str) -> tuple[list[int], int]:
    """Ids of the queued proposals that the results since they were made do not change, and how many
    results the study has."""
    study = studies.get(session, name)
    stale, good = _stale(session, study)
    return [trial.id for trial in stale if trial.id in good], study.results


def _stale(session: Session, study: models.Study) -> tuple[list[models.Trial], set[int]]:
    """Proposals that nobody has started and that were made before the newest result; and ids of
    those that were chosen without a look at scores, and so are as good whatever the results.
    Anything else should know the newest ones."""
    unstarted = trials.unstarted_proposals(session, study)
    stale, good = [], {trial.id for trial in _of_opening(session, study, unstarted)}
    for trial in unstarted:
        known = trial.proposed_at_results
        if known is None:  # it stands in
            good.discard(trial.id)
        elif known < study.results and (study.spec["strategy"] in BLIND or _by(trial) == "seed"):
            good.add(trial.id)
        if known is None or known < study.results:
            stale.append(trial)
    return stale, good


def _of_opening(
    session: Session, study: models.Study, unstarted: Sequence[models.Trial]
) -> Sequence[models.Trial]:
    """Points of the study's opening design, as many as the opening still wants."""
    points = [trial for trial in unstarted if _by(trial) == "opening"]
    if not points or study.spec["opening"] != "optimal":
        return []
    size = opening_size(len(study.spec["domains"]), study.budget + study.attached)
    known = session.execute(
        select(func.count())
        .select_from(models.Trial)
        .where(models.Trial.study_id == study.id, models.Trial.is_withdrawn.is_(False))
    ).scalar_one()
    return points[: max(0, size - (known - len(points)))]


def _by(trial: models.Trial) -> str | None:
    """The part of a strategy that proposed it."""
    by: str | None = (trial.proposal or {}).get("strategy")
    return by


def _mixtures_in(
    session: Session, study: models.Study, states: tuple[str, ...], but: set[int]
) -> list[dict[str, float]]:
    """Mixtures of the study's trials in some states, without those `but`."""
    rows = session.execute(
        select(models.Trial.id, models.Trial.mixture)
        .where(
            models.Trial.study_id == study.id,
            models.Trial.state.in_(states),
            models.Trial.is_withdrawn.is_(False),
        )
        .order_by(models.Trial.number)
    )
    return [mixture for trial_id, mixture in rows if trial_id not in but]


def compute(task: Task, strategy: str) -> list[Proposed]:
    """Lets a strategy propose. Pure: needs no database and can run anywhere."""
    return propose(
        strategy,
        task.known.space,
        task.known.runs,
        task.pending,
        task.n,
        task.seed,
        task.known.spec.objective.direction,
        avoid=task.avoid,
        budget=task.budget,
        opening=task.known.spec.opening,
        heuristics=evidence.heuristics(task.known.spec),
    )


def store(
    session: Session,
    task: Task,
    proposed: Sequence[Proposed],
    owner: str,
    *,
    stands_in: bool = False,
) -> int:
    """Puts proposals into the queue; returns how many.

    The study may have moved on during the fit. What came in later is left to the next turn, which
    comes at once and makes these proposals anew; waiting for a standstill would mean that a busy
    fleet gets none. Only what was taken meanwhile is not proposed again, and the budget holds.
    """
    # 1. The study held: a trial that came to its end between two questions would be in neither.
    study = studies.get(session, task.study, for_update=True)
    if study.proposer != owner or study.state != "active":
        return 0
    # 2. Proposals that are still nobody's; those that others hold are left, so nobody waits here.
    replaceable = [
        trial
        for trial in trials.unstarted_proposals(session, study, lock_them=True)
        if trial.id in task.replace
    ]
    taken = _mixtures(session, set(task.replace) - {trial.id for trial in replaceable})
    room = proposing.standing(session, study).missing
    # 3. What is queued already stays; of the others one mixture each, and what is left goes behind.
    spec, results = task.known.spec, None if stands_in else task.known.results
    others = evidence.weights(spec, taken)
    fresh = [item for item in proposed if item.is_repeat or not _is_among(item, others)]
    fresh = fresh[: len(replaceable) + room]
    changed = []
    for item in fresh:
        same = _same_mixture(spec, item, replaceable)
        if same is None:
            changed.append(item)
        else:  # it is queued already
            replaceable.remove(same)
            trials.renew_proposal(session, same, _proposal(task, item), results)
    for place, item in enumerate(changed):
        mixture, proposal = _mixture(spec, item), _proposal(task, item)
        if place < len(replaceable):
            trials.replace_proposal(session, replaceable[place], mixture, proposal, results)
        else:
            new = trials.NewTrial(mixture, "proposed", proposal, results)
            trials.add(session, study, new, actor="proposer")
    return len(fresh)


def _proposal(task: Task, item: Proposed) -> dict[str, Any]:
    """What is stored of where a mixture came from."""
    return Proposal(
        strategy=item.strategy,
        seed=task.seed,
        reason=item.reason + evidence.reach_in_words(task.known.spec, item.weights),
        mean=finite(item.mean),
        sd=finite(item.sd),
    ).model_dump(mode="json")


def _same_mixture(
    spec: StudySpec, item: Proposed, queued: Sequence[models.Trial]
) -> models.Trial | None:
    """The first of these trials that has the mixture that is proposed."""
    apart = total_variation(item.weights, evidence.weights(spec, [t.mixture for t in queued]))
    near = np.flatnonzero(apart <= SAME)
    return queued[int(near[0])] if len(near) else None


def _mixtures(session: Session, ids: set[int]) -> list[dict[str, float]]:
    return list(
        session.scalars(select(models.Trial.mixture).where(models.Trial.id.in_(sorted(ids))))
    )


def _is_among(item: Proposed, others: NDArray[np.float64]) -> bool:
    return bool(np.any(total_variation(item.weights, others) <= SAME))


def _mixture(spec: StudySpec, item: Proposed) -> dict[str, float]:
    named = dict(
        zip((domain.name for domain in spec.domains), map(float, item.weights), strict=True)
    )
    return spec.mixture(named)


class Proposer:
    """The thread that keeps every active study's queue filled.

    Args:
        owner: name of this replica, unlike any other's.
        engine: what computes; ended with the thread.
        timing: a context that a strategy, by its name, proposes in.
    """

    def __init__(
        self,
        database: Database,
        owner: str,
        engine: Engine | None = None,
        timing: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._database = database
        self._owner = owner
        self._engine = engine or Inline()
        self._timing = timing
        self._waking = threading.Event()
        self._stopped = threading.Event()
        self._is_at_work = False
        self._fruitless: dict[str, tuple[int, ...]] = {}
        self._thread = threading.Thread(target=self._run, name="proposer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends at once, also the present fit."""
        self._stopped.set()
        self._waking.set()
        self._engine.stop()
        self._thread.join(timeout=5)

    def wake(self) -> None:
        """Something changed: look now."""
        self._waking.set()

    def keep(self) -> None:
        """Extends the leases of the studies being worked on; called every few seconds."""
        if not self._is_at_work:
            return
        with self._database.write() as session:
            proposing.renew(session, self._owner, LEASE_S)

    def turn(self) -> int:
        """Looks once at every active study; returns how many proposals were stored."""
        with self._database.read() as session:
            names = proposing.in_need(session)
        stored = 0
        for name in names:
            if self._stopped.is_set():
                break
            self._is_at_work = True
            try:
                stored += self._serve(name)
            except SQLAlchemyError:
                log.exception("proposals could not be stored, tried again", study=name)
            except Exception as fault:
                # The other studies must not suffer from it.
                log.exception("proposing failed, tried again", study=name)
                self._give_up(name, f"proposals cannot be made: {fault}"[:1000])
            finally:
                self._is_at_work = False
        return stored

    def _serve(self, name: str) -> int:
        # 1. What is needed, and may this replica see to it?
        with self._database.read() as session:
            kept, results = still_good(session, name)
        if kept:
            with self._database.write() as session:
                trials.still_hold(session, kept, results)
        with self._database.read() as session:
            trouble = proposing.trouble(session, name)
            rests = trouble is not None and trouble.rests
            try:
                task = read_task(session, name, only_gaps=rests)
            except Exception:
                if not rests:
                    raise
                return 0
            if task is None or self._fruitless.get(name) == task.based_on:
                return 0
            study_id = task.known.study_id
        with self._database.write() as session:
            if not proposing.take(session, study_id, self._owner, LEASE_S):
                return 0
        # 2. After a failure gaps come first: the next try may take as long and fail again.
        stored = self._fill_gaps(name, trouble.error) if trouble else 0
        # 3. The strategy, unless it rests.
        was_asked, error = False, None
        if not rests:
            if stored:
                with self._database.read() as session:
                    task = read_task(session, name)
            if task is not None:
                more, error = self._by_strategy(task)
                was_asked, stored = not self._stopped.is_set(), stored + more
        if error and not trouble:
            stored += self._fill_gaps(name, error)
        with self._database.write() as session:
            if was_asked:
                is_out = name in self._fruitless
                proposing.give_back(session, study_id, self._owner, error, is_out=is_out)
            else:
                proposing.end_turn(session, study_id, self._owner)
        return stored

    def _give_up(self, name: str, error: str) -> None:
        """Lets the study rest, and everybody see why."""
        with self._database.write() as session:
            study_id = studies.get(session, name).id
            if proposing.take(session, study_id, self._owner, LEASE_S):
                proposing.give_back(session, study_id, self._owner, error)

    def _by_strategy(self, task: Task) -> tuple[int, str | None]:
        """How many proposals were stored, and what went wrong."""
        strategy = task.known.spec.strategy
        try:
            with self._timing(strategy):
                proposed = self._engine.ask(compute, task, strategy)
            stored = self._store(task, proposed)
        except SQLAlchemyError:
            raise
        except Stopping:
            return 0, None
        except Exception as fault:
            log.exception("strategy failed", study=task.study, strategy=strategy)
            return 0, f"strategy {strategy!r} failed: {fault}"[:1000]
        if proposed:
            self._fruitless.pop(task.study, None)
        else:
            self._fruitless[task.study] = task.based_on
        return stored, None

    def _fill_gaps(self, name: str, trouble: str) -> int:
        """Stores proposals that need no surrogate where trials are missing; returns how many."""
        with self._database.read() as session:
            gaps = read_task(session, name, only_gaps=True)
        if gaps is None:
            return 0
        try:
            drawn = self._engine.ask(compute, gaps, STAND_IN)
            said = [replace(item, reason=f"{item.reason} ({trouble})") for item in drawn]
            return self._store(gaps, said, stands_in=True)
        except SQLAlchemyError:
            raise
        except Exception:
            log.exception("seeds failed too", study=name)
            return 0

    def _store(self, task: Task, proposed: Sequence[Proposed], *, stands_in: bool = False) -> int:
        with self._database.write() as session:
            stored = store(session, task, proposed, self._owner, stands_in=stands_in)
        if stored:
            log.info(
                "proposed", study=task.study, n=stored, replaced=len(task.replace), seed=task.seed
            )
        return stored

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._waking.wait()
            self._waking.clear()
            if self._stopped.is_set():
                return
            try:
                self.turn()
            except Exception:
                log.exception("proposing failed, tried again")
            self._stopped.wait(PAUSE_S)


def waiting(session: Session, name: str | None, worker: str = "") -> tuple[str, float | None]:
    """Why there is no trial to give to a worker, and after how many seconds to ask again (None:
    nothing more comes by itself)."""
    if name is not None:
        found = [studies.get(session, name)]
    else:
        # The finished ones, which grow to be many, only matter where there is no other.
        found = studies.everyone(session, "active", "paused") or studies.everyone(session)
    if not found:
        return "there is no study yet", 10.0
    reasons = []
    for now in proposing.standings(session, found):
        is_asked = now.state == "active" and now.queued
        due_in_s = queue.due_in_s(session, now.study_id, worker) if is_asked else None
        reasons.append(_why(now, due_in_s))
    return min(reasons, key=lambda item: (item[1] is None, item[1] or 0.0))


def _why(now: Standing, due_in_s: float | None) -> tuple[str, float | None]:
    """Of one study; `due_in_s` as by `queue.due_in_s`."""
    where = f"study {now.study!r}"
    if now.state == "finished":
        return f"{where} is finished", None
    if now.state == "paused":
        return f"{where} is paused", 30.0
    if now.is_done:
        return f"{where} is finished: {all_done(now.budget)}", None
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
    if now.room == 0:
        return f"{where}: the last {now.running} of its {now.budget} trials are running", 5.0
    if now.error is not None:
        return f"{where}: {now.error}; tried again soon", 5.0
    if now.is_out:
        return (
            f"{where}: its strategy has nothing more to propose; {now.completed} of the budget's "
            f"{now.budget} trials are done",
            None,
        )
    also = f", or wait for the scores of {now.running} running trials" if now.running else ""
    return f"{where}: proposals are being made{also}", 1.0
