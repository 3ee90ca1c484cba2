"""The one place where stored trials meet the engine: proposals are made ahead of being asked for.

A thread looks at every active study: is a trial missing in the queue, or is a queued proposal older
than the newest result? Then it reads what the study knows, lets the strategy propose in the
engine's process, and stores the answer for as many trials as are still unclaimed. One replica at a
time does so for a study, by a lease in the database. When the strategy fails, or hangs until it is
ended, seeds and then random mixtures keep the workers busy until it works again; those that no
worker has by then give way to its proposals.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db import begun, proposal_needs, proposals, proposers, studies
from db.sessions import Database
from service.executor.process import Engine, Inline, Stopping
from service.proposing import experts, stopping
from service.proposing.question import compute, judge
from service.proposing.storing import store
from service.proposing.task import Task, read_task, still_good
from service.search.situation import Proposed

log = structlog.get_logger()

LEASE_S = 15.0
"""How long a replica may be silent before another takes over its proposing."""

PAUSE_S = 0.1
"""Between two looks: a busy fleet calls far more often than proposals are needed."""

PAUSE_PER_LOOK = 19.0
"""And so many times as long as a look that found nothing to do kept the processor: with thousands
of queued trials looks would take a core that others need."""

LONGEST_PAUSE_S = 1.0

FALLBACK = "seed"
"""What proposes when a study's strategy fails: seeds not yet tried, then random mixtures."""


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
        self._looked_at: dict[str, tuple[int, ...]] = {}
        self._judged: dict[str, tuple[tuple[int, int], ...]] = {}
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
            proposers.renew(session, self._owner, LEASE_S)

    def turn(self) -> int:
        """Looks once at every active study; returns how many proposals were stored."""
        stored = self._queue_experts()
        self._judge_runs()  # before proposals: GPUs go on meanwhile
        with self._database.read() as session:
            names = proposal_needs.in_need(session)
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

    def _queue_experts(self) -> int:
        """What merged models need comes before a strategy's proposals, which then count with it."""
        with self._database.read() as session:
            found = experts.merging_studies(session)
        queued = 0
        for name, based_on in found:
            if self._looked_at.get(name) == based_on:
                continue
            try:
                with self._database.write() as session:
                    queued += experts.queue_missing(session, name)
            except Exception:  # the other studies must not suffer from it
                log.exception("experts could not be queued, tried again", study=name)
            else:
                self._looked_at[name] = based_on
        return queued

    def _judge_runs(self) -> None:
        """Runs that were scored on their way: are they worth going on with? And those that stand
        when the budget is used end."""
        with self._database.read() as session:
            found = begun.stopping_studies(session)
        for name, study_id, may_stop in found:
            try:
                if may_stop:
                    self._judge(name, study_id)
                with self._database.read() as session:
                    left = stopping.left_standing(session, name)
                for trial_id in left:
                    with self._database.write() as session:
                        stopping.end(session, trial_id)
            except Stopping:
                return
            except Exception:  # the other studies must not suffer from it
                log.exception("runs could not be judged", study=name)

    def _judge(self, name: str, study_id: int) -> None:
        with self._database.read() as session:
            scores = begun.newest_scores(session, study_id)
            if not scores or self._judged.get(name) == scores:
                return
            judging = stopping.read(session, name)
        if judging is not None and not self._takes(study_id):
            return
        self._judged[name] = scores  # also where it fails: with the same scores it would again
        if judging is None:
            return
        self._is_at_work = True
        try:
            verdicts = self._engine.ask(judge, judging.question, judging.strategy, judging.running)
            for verdict in verdicts:
                with self._database.write() as session:
                    stopping.store(session, judging, verdict)
            log.info("judged", study=name, runs=len(verdicts))
        finally:
            self._is_at_work = False
            with self._database.write() as session:
                proposers.end_turn(session, study_id, self._owner)

    def _takes(self, study_id: int) -> bool:
        """Whether it is this replica that proposes for a study from now on."""
        with self._database.write() as session:
            return proposers.take(session, study_id, self._owner, LEASE_S)

    def _serve(self, name: str) -> int:
        # 1. What is needed, and may this replica see to it?
        with self._database.read() as session:
            kept, results = still_good(session, name)
        if kept:
            with self._database.write() as session:
                proposals.still_hold(session, kept, results)
        with self._database.read() as session:
            trouble = proposers.trouble(session, name)
            rests = trouble is not None and trouble.rests
            try:
                task = read_task(session, name, only_gaps=rests)
            except Exception:
                if not rests:
                    raise
                return 0
            if task is None or self._fruitless.get(name) == task.based_on:
                return 0
            study_id = task.known.version.study_id
        if not self._takes(study_id):
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
                proposers.give_back(session, study_id, self._owner, error, is_out=is_out)
            else:
                proposers.end_turn(session, study_id, self._owner)
        return stored

    def _give_up(self, name: str, error: str) -> None:
        """Lets the study rest, and everybody see why."""
        with self._database.write() as session:
            study = studies.find(session, name)  # it may be deleted meanwhile
            if study is not None and proposers.take(session, study.id, self._owner, LEASE_S):
                proposers.give_back(session, study.id, self._owner, error)

    def _by_strategy(self, task: Task) -> tuple[int, str | None]:
        """How many proposals were stored, and what went wrong."""
        strategy = task.known.spec.strategy
        try:
            with self._timing(strategy):
                proposed = self._engine.ask(compute, task.question, strategy)
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
            drawn = self._engine.ask(compute, gaps.question, FALLBACK)
            said = [replace(item, reason=f"{item.reason} ({trouble})") for item in drawn]
            return self._store(gaps, said, is_fallback=True)
        except SQLAlchemyError:
            raise
        except Exception:
            log.exception("seeds failed too", study=name)
            return 0

    def _store(self, task: Task, proposed: Sequence[Proposed], *, is_fallback: bool = False) -> int:
        with self._database.write() as session:
            stored = store(session, task, proposed, self._owner, is_fallback=is_fallback)
        if stored:
            log.info(
                "proposed",
                study=task.study,
                n=stored,
                replaced=len(task.replace),
                seed=task.question.seed,
            )
        return stored

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._waking.wait()
            self._waking.clear()
            if self._stopped.is_set():
                return
            began, stored = time.thread_time(), 0
            try:
                stored = self.turn()
            except Exception:
                log.exception("proposing failed, tried again")
            took = 0.0 if stored else time.thread_time() - began
            self._stopped.wait(min(LONGEST_PAUSE_S, max(PAUSE_S, PAUSE_PER_LOOK * took)))
