"""Surrogates fitted on request, and kept until the study has new results."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import structlog
from sqlalchemy.orm import Session

from db import models
from service.errors import NoFit, Refused, stopping
from service.executor.process import Engine, Stopping
from service.fitting import goals, questions, stored, views
from service.fitting.kept import Kept
from service.fitting.records import FitRecord, GoalRecord, JointBelief, Made, R, VerdictRecord
from service.fitting.sources import code_digest
from service.fitting.stored import StoredFits
from service.search.counts import counted
from service.search.errors import CannotFitError, UnsuitedError
from service.search.goal_beliefs import PURSUING
from service.search.runs import Runs
from service.search.schedules import unchanging
from service.search.space import FloatArray
from service.search.surrogates import SURROGATES
from service.study.engine_terms import points, search_space, weights
from service.study.evidence import Evidence

log = structlog.get_logger()

CODE = code_digest()
"""As it was loaded."""

WAITING = 16
"""Calls that may wait for fits at once. Each holds one of the 40 threads that answer calls, and the
others are there for heartbeats and results."""

BUSY_S = 3.0
"""What callers are told to wait when there is no place."""

Predicted = tuple[FloatArray, FloatArray]
"""Means and standard deviations."""

VERDICT = "verdict"
"""What `auto`'s is kept as."""


def fit_kind(surrogate: str) -> str:
    """What a surrogate's fit is kept as."""
    return f"fit/{surrogate}"


class Fits:
    """Diagnoses of the present evidence and decisions on goals, each computed once; predictions.

    Each method raises `Refused` while `WAITING` other calls wait for a fit.

    Args:
        stored: where they are kept, and looked for first; nowhere where that is None.
        code: hash of the code that makes them: what other code made is not taken.
    """

    def __init__(self, engine: Engine, stored: StoredFits | None = None, code: str = CODE) -> None:
        self._engine, self._code = engine, code
        self._stored = stored
        self._fits: Kept[FitRecord] = Kept()
        self._goals: Kept[GoalRecord] = Kept()
        self._verdicts: Kept[VerdictRecord] = Kept()
        self._begun: dict[tuple[int, str], float] = {}
        self._places = threading.BoundedSemaphore(WAITING)

    def fit(self, evidence: Evidence, surrogate: str) -> Made[FitRecord]:
        """Leave-one-out figures, best mixture, effects and messages; and predictions of the mixture
        to train and of the uniform one.

        Raises:
            Refused: no such surrogate; or one that cannot be fitted to the completed trials.
        """
        check(surrogate)

        def compute() -> FitRecord:
            found = self._engine.ask(
                questions.diagnosed,
                surrogate,
                evidence.space,
                evidence.runs,
                evidence.spec.objective.direction,
                _compared(evidence),
                search_space(evidence.spec),
            )
            compared = None if found.compared is None else JointBelief.of(found.compared)
            return FitRecord(fit=views.fit(evidence, surrogate, found), compared=compared)

        return self._made(self._fits, FitRecord, fit_kind(surrogate), evidence, surrogate, compute)

    def goal(self, evidence: Evidence, surrogate: str) -> GoalRecord:
        """What is recommended for the study's goal, the front, and the mixture to train among what
        is compared.

        Raises:
            Refused: the study has no goal beside its objective; no such surrogate; or one that
                cannot pursue goals, or be fitted to the completed trials.
        """
        check(surrogate)
        goal = evidence.goal
        if goal is None:
            raise Refused(
                "no-goal",
                f"study {evidence.spec.name!r} has one objective and no constraints; give a study "
                "`objectives`, `constraints` or `objective.worst` for a front",
            )
        if surrogate not in PURSUING:
            raise NoFit(
                UnsuitedError.code,
                f"{surrogate} predicts one number alone; {', '.join(PURSUING)} pursue goals",
            )
        best = _compared(evidence)

        def compute() -> GoalRecord:
            found = self._engine.ask(
                questions.decided,
                surrogate,
                evidence.space,
                evidence.measured,
                goal,
                None if best is None else best[:1],
            )
            return goals.record(evidence, surrogate, found)

        made = self._made(
            self._goals, GoalRecord, f"goal/{surrogate}", evidence, surrogate, compute
        )
        return made.record

    def verdict(self, evidence: Evidence, *, only_made: bool = False) -> VerdictRecord | None:
        """What `auto` averages, and what it believes of the mixture to train and the uniform one;
        None before the first run.

        Args:
            only_made: None as well where it is to be computed first.

        Raises:
            Refused: none can be fitted to the completed trials.
        """
        compared = _compared(evidence)
        if compared is None:
            return None
        if only_made:
            mark = self._mark(evidence, VERDICT)
            there = self._verdicts.made(mark)
            if there is None:
                there = self._in_store(VerdictRecord, VERDICT, evidence, mark)
            return None if there is None else there.record

        def compute() -> VerdictRecord:
            direction = evidence.spec.objective.direction
            found = self._engine.ask(
                questions.verdict, evidence.space, evidence.runs, compared, direction
            )
            return VerdictRecord(
                shares=found.shares,
                densities=found.densities,
                compared=JointBelief.of(found.posterior),
            )

        made = self._made(self._verdicts, VerdictRecord, VERDICT, evidence, "auto", compute)
        return made.record

    def newest(
        self, session: Session, study: models.Study, surrogate: str
    ) -> tuple[Made[FitRecord], int] | None:
        """The newest fit that is kept of a study as it is now edited, and how many results have
        come since.

        Raises:
            Refused: no such surrogate.
        """
        check(surrogate)
        return stored.newest(session, study, fit_kind(surrogate), FitRecord)

    def so_far_s(self, study_id: int, surrogate: str) -> float | None:
        """For how long a fit has been under way here, in seconds; None where none is."""
        begun = self._begun.get((study_id, fit_kind(surrogate)))
        return None if begun is None else time.monotonic() - begun

    def predict(
        self, evidence: Evidence, surrogate: str, mixtures: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation at each of (n, m) mixtures, or of (n, P m) points of
        schedules.

        Raises:
            Refused: no such surrogate; or one that cannot be fitted to the completed trials.
        """
        check(surrogate)
        space, runs = evidence.space, _of_form(evidence.runs, evidence, mixtures)
        direction = evidence.spec.objective.direction
        with self._place(), _refusals(evidence, surrogate):
            return self._engine.ask(questions.predict, surrogate, space, runs, mixtures, direction)

    def predict_each(
        self, evidence: Evidence, surrogate: str, others: Mapping[str, Runs], mixtures: FloatArray
    ) -> dict[str, tuple[FloatArray, FloatArray]]:
        """The same of other scores, such as single benchmarks, by name.

        Raises:
            Refused: it cannot be fitted to the completed trials.
        """
        ask, runs = self._engine.ask, _of_form(evidence.runs, evidence, mixtures)
        with self._place(), _refusals(evidence, surrogate):
            rest = [_of_form(other, evidence, mixtures) for other in others.values()]
            found = ask(questions.predict_each, surrogate, evidence.space, runs, rest, mixtures)
        return dict(zip(others, found, strict=True))

    def differences(
        self,
        evidence: Evidence,
        surrogate: str,
        others: Mapping[str, Runs],
        at: FloatArray,
        against: FloatArray,
    ) -> tuple[Predicted, dict[str, Predicted]]:
        """How much higher scores are at each of (k, m) mixtures, or (k, P m) points of schedules,
        than at another, mean and standard deviation by the joint belief: of the objective, and of
        others by name.

        Raises:
            Refused: it cannot be fitted to the completed trials.
        """
        ask, runs = self._engine.ask, _of_form(evidence.runs, evidence, at)
        direction = evidence.spec.objective.direction
        with self._place(), _refusals(evidence, surrogate):
            rest = [_of_form(other, evidence, at) for other in others.values()]
            whole, *found = ask(
                questions.differences, surrogate, evidence.space, runs, rest, direction, at, against
            )
        return whole, dict(zip(others, found, strict=True))

    def stop(self) -> None:
        """Ends what is being fitted; who waits for it, and whoever asks later, is refused with
        503 `stopping`."""
        self._engine.stop()

    def _made(
        self,
        kept: Kept[R],
        record: type[R],
        kind: str,
        evidence: Evidence,
        surrogate: str,
        compute: Callable[[], R],
    ) -> Made[R]:
        """What was made already, here or anywhere; else what is computed now."""
        mark, of = self._mark(evidence, kind), evidence.version

        def make() -> Made[R]:
            found = self._in_store(record, kind, evidence, mark)
            if found is not None:
                return found
            begun = self._begun[of.study_id, kind] = time.monotonic()
            try:
                with _refusals(evidence, surrogate):
                    made = Made(compute(), mark, time.monotonic() - begun)
            finally:
                self._begun.pop((of.study_id, kind), None)
            return made if self._stored is None else self._stored.keep(of, kind, made)

        once = kept.get(mark, make)
        if once.made:
            return once.made[0]
        with self._place():
            return once.value()

    def _mark(self, of: Evidence, kind: str) -> str:
        """The same mark is the same fit, by the same code."""
        known = (of.version, of.partial, of.others, tuple(of.measured.channels), of.notes)
        return hashlib.sha256(repr((kind, self._code, known)).encode()).hexdigest()

    def _in_store(
        self, record: type[R], kind: str, evidence: Evidence, mark: str
    ) -> Made[R] | None:
        """What was made of this before a restart, or by another replica."""
        if self._stored is None:
            return None
        return self._stored.current(evidence.version.study_id, kind, mark, record)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Refused(
                "busy",
                f"{WAITING} calls wait for fits already; come back in a few seconds",
                again_s=BUSY_S,
            )
        try:
            yield
        finally:
            self._places.release()


@contextmanager
def _refusals(evidence: Evidence, surrogate: str) -> Iterator[None]:
    try:
        yield
    except Stopping as error:
        raise stopping() from error
    except CannotFitError as error:
        raise NoFit(error.code, str(error)) from error
    except Exception as error:
        # Linear algebra and optimisers fail on runs that agree too well, or hardly differ.
        log.exception("fit failed", study=evidence.spec.name, surrogate=surrogate)
        raise NoFit(
            "fit-failed",
            f"{surrogate} cannot be fitted to {counted(len(evidence.runs), 'run')}: {error}",
        ) from error


def _of_form(runs: Runs, known: Evidence, asked: FloatArray) -> Runs:
    """Runs that a surrogate can learn from what is asked about: where that is schedules and no run
    had one, all as schedules that stay the same."""
    wanted = known.spec.search.schedule
    if wanted is None or runs.schedules.size or asked.shape[1] == runs.m:
        return runs
    return replace(runs, schedules=unchanging(runs.weights, np.array(wanted.of_each)))


def _compared(known: Evidence) -> FloatArray | None:
    """(2, m) the mixture to train and the uniform one, as schedules (2, P m) where it is one; None
    before the first run."""
    best = known.train_this()
    if best is None:
        return None
    if best.schedule:
        return points(known.spec, [(best.mixture, best.schedule), (known.uniform, None)])
    return weights(known.spec, [best.mixture, known.uniform])


def check(surrogate: str) -> None:
    """Raises:
    Refused: no such surrogate.
    """
    if surrogate not in SURROGATES:
        raise Refused(
            "surrogate-not-found",
            f"no surrogate {surrogate!r}; there are {', '.join(SURROGATES)}",
        )
