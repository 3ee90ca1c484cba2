"""Surrogates fitted on request, and kept until the study has new results."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, TypeVar

import structlog
from numpy.linalg import LinAlgError

from service.errors import NoFit, Refused, stopping
from service.executor.process import Engine, Stopping
from service.fitting import questions
from service.fitting.questions import Verdict
from service.search.counts import counted
from service.search.diagnostics import Diagnosis
from service.search.goal_beliefs import PURSUING
from service.search.goal_decision import Decision
from service.search.runs import Runs
from service.search.space import FloatArray
from service.search.surrogates import SURROGATES
from service.study.engine_terms import weights
from service.study.evidence import Evidence

log = structlog.get_logger()
T = TypeVar("T")

KEPT = 64
"""Diagnoses kept in memory; the one unused for longest goes first."""

WAITING = 16
"""Calls that may wait for fits at once. Each holds one of the 40 threads that answer calls, and the
others are there for heartbeats and results."""

BUSY_S = 3.0
"""What callers are told to wait when there is no place."""

FAILURE_KEPT_S = 60.0
"""How long a fit that failed is not tried again: it was the same question."""

Predicted = tuple[FloatArray, FloatArray]
"""Means and standard deviations."""

Key = tuple[Hashable, ...]
"""Study, its results, its trials scored on their way, the others, surrogate: the same key is the
same fit."""


class _Once(Generic[T]):
    """A value that the first to ask computes while others wait."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: list[T] = []
        self._failed: tuple[float, Refused] | None = None

    @property
    def made(self) -> list[T]:
        """The value, once it is there."""
        return self._made

    def value(self) -> T:
        """Raises:
        Refused: it cannot be computed, just now or less than a minute ago.
        """
        with self._lock:
            if self._made:
                return self._made[0]
            if self._failed is not None and time.monotonic() < self._failed[0] + FAILURE_KEPT_S:
                raise self._failed[1]
            try:
                self._made.append(self._make())
            except Refused as refused:
                self._failed = time.monotonic(), refused
                raise
            return self._made[0]


class _Kept(Generic[T]):
    """The last few values by study, state and surrogate."""

    def __init__(self) -> None:
        self._values: OrderedDict[Key, _Once[T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, evidence: Evidence, surrogate: str, make: Callable[[], T]) -> _Once[T]:
        of = evidence
        key = (of.version, of.partial, of.others, tuple(of.measured.channels), surrogate)
        with self._lock:
            once = self._values.setdefault(key, _Once(make))
            self._values.move_to_end(key)
            while len(self._values) > KEPT:
                self._values.popitem(last=False)
        return once


class Fits:
    """Diagnoses of the present evidence and decisions on goals, each computed once; predictions.

    Each method raises `Refused` while `WAITING` other calls wait for a fit.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._diagnoses: _Kept[Diagnosis] = _Kept()
        self._decisions: _Kept[Decision] = _Kept()
        self._places = threading.BoundedSemaphore(WAITING)

    def diagnosis(self, evidence: Evidence, surrogate: str) -> Diagnosis:
        """Leave-one-out figures, best mixture, effects and messages; and predictions of the mixture
        to train and of the uniform one.

        Raises:
            Refused: no such surrogate; or too few completed trials to fit it.
        """
        space, runs = evidence.space, evidence.runs
        direction = evidence.spec.objective.direction

        def make() -> Diagnosis:
            with _refusals(evidence, surrogate):
                return self._engine.ask(
                    questions.diagnosed, surrogate, space, runs, direction, _compared(evidence)
                )

        check(surrogate)
        once = self._diagnoses.get(evidence, surrogate, make)
        if once.made:
            return once.made[0]
        with self._place():
            return once.value()

    def decision(self, evidence: Evidence, surrogate: str) -> Decision:
        """What is recommended for the study's goal, the front, and the mixture to train among what
        is compared.

        Raises:
            Refused: the study has no goal beside its objective; no such surrogate; one that cannot
                pursue goals; or too few completed trials to fit it.
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
                "fit-failed",
                f"{surrogate} predicts one number alone; {', '.join(PURSUING)} pursue goals",
            )
        best = _compared(evidence)

        def make() -> Decision:
            with _refusals(evidence, surrogate):
                return self._engine.ask(
                    questions.decided,
                    surrogate,
                    evidence.space,
                    evidence.measured,
                    goal,
                    None if best is None else best[:1],
                )

        once = self._decisions.get(evidence, surrogate, make)
        if once.made:
            return once.made[0]
        with self._place():
            return once.value()

    def predict(
        self, evidence: Evidence, surrogate: str, mixtures: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation at each of (n, m) mixtures.

        Raises:
            Refused: no such surrogate; or too few completed trials to fit it.
        """
        check(surrogate)
        space, runs = evidence.space, evidence.runs
        direction = evidence.spec.objective.direction
        with self._place(), _refusals(evidence, surrogate):
            return self._engine.ask(questions.predict, surrogate, space, runs, mixtures, direction)

    def predict_each(
        self, evidence: Evidence, surrogate: str, others: Mapping[str, Runs], mixtures: FloatArray
    ) -> dict[str, tuple[FloatArray, FloatArray]]:
        """The same of other scores, such as single benchmarks, by name.

        Raises:
            Refused: too few completed trials to fit it.
        """
        ask, runs = self._engine.ask, evidence.runs
        with self._place(), _refusals(evidence, surrogate):
            rest = list(others.values())
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
        """How much higher scores are at each of (k, m) mixtures than at another, mean and standard
        deviation by the joint belief: of the objective, and of others by name.

        Raises:
            Refused: too few completed trials to fit it.
        """
        ask, runs = self._engine.ask, evidence.runs
        direction = evidence.spec.objective.direction
        with self._place(), _refusals(evidence, surrogate):
            rest = list(others.values())
            whole, *found = ask(
                questions.differences, surrogate, evidence.space, runs, rest, direction, at, against
            )
        return whole, dict(zip(others, found, strict=True))

    def verdict(self, evidence: Evidence, mixtures: FloatArray) -> Verdict:
        """What `auto` averages, and what it believes of (n, m) mixtures.

        Raises:
            Refused: too few completed trials to fit any.
        """
        with self._place(), _refusals(evidence, "auto"):
            direction = evidence.spec.objective.direction
            return self._engine.ask(
                questions.verdict, evidence.space, evidence.runs, mixtures, direction
            )

    def stop(self) -> None:
        """Ends what is being fitted; who waits for it, and whoever asks later, is refused with
        503 `stopping`."""
        self._engine.stop()

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
    except Exception as error:
        # Linear algebra and optimisers fail on runs that agree too well, or hardly differ.
        if isinstance(error, ValueError) and not isinstance(error, LinAlgError):
            raise NoFit("too-few-results", str(error)) from error
        log.exception("fit failed", study=evidence.spec.name, surrogate=surrogate)
        raise NoFit(
            "fit-failed",
            f"{surrogate} cannot be fitted to {counted(len(evidence.runs), 'run')}: {error}",
        ) from error


def _compared(known: Evidence) -> FloatArray | None:
    """(2, m) the mixture to train and the uniform one; None before the first run."""
    best = known.train_this()
    if best is None:
        return None
    used = [name for name in known.space.domains if name not in known.spec.dropped]
    equal = dict.fromkeys(used, 1 / len(used))
    return weights(known.spec, [best.mixture, equal])


def check(surrogate: str) -> None:
    """Raises:
    Refused: no such surrogate.
    """
    if surrogate not in SURROGATES:
        raise Refused(
            "surrogate-not-found",
            f"no surrogate {surrogate!r}; there are {', '.join(SURROGATES)}",
        )
