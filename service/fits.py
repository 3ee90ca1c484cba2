"""Surrogates fitted on request, and kept until the study has new results."""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import structlog
from numpy.linalg import LinAlgError

from service.engine import Engine
from service.errors import Refused
from service.evidence import Evidence
from service.search.diagnostics import Diagnosis, diagnose
from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates import SURROGATES, Fitted, fit

log = structlog.get_logger()
T = TypeVar("T")

KEPT = 64
"""Diagnoses kept in memory; the one unused for longest goes first."""
KEPT_FITTED = 8

Key = tuple[int, int, str]
"""Study, its results, surrogate: the same key is the same fit."""

SEED = 0
"""What is shown of a fit does not depend on chance."""


class _Once(Generic[T]):
    """A value that the first to ask computes while others wait."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: list[T] = []

    def value(self) -> T:
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]


class _Kept(Generic[T]):
    """The last few values by study, state and surrogate."""

    def __init__(self) -> None:
        self._values: OrderedDict[Key, _Once[T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, evidence: Evidence, surrogate: str, make: Callable[[], T]) -> T:
        key = (evidence.study_id, evidence.results, surrogate)
        with self._lock:
            once = self._values.setdefault(key, _Once(make))
            self._values.move_to_end(key)
            while len(self._values) > KEPT:
                self._values.popitem(last=False)
        return once.value()


class Fits:
    """Diagnoses of the present evidence, each computed once, and predictions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._diagnoses: _Kept[Diagnosis] = _Kept()

    def diagnosis(self, evidence: Evidence, surrogate: str) -> Diagnosis:
        """Leave-one-out figures, best mixture, effects and messages.

        Raises:
            Refused: 404, no such surrogate; 409, too few completed trials to fit it.
        """
        space, runs = evidence.space, evidence.runs
        direction = evidence.spec.objective.direction

        def make() -> Diagnosis:
            with _refusals(evidence, surrogate):
                return self._engine.ask(diagnose, surrogate, space, runs, SEED, direction)

        check(surrogate)
        return self._diagnoses.get(evidence, surrogate, make)

    def predict(
        self, evidence: Evidence, surrogate: str, mixtures: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation at each of (n, m) mixtures.

        Raises:
            Refused: 404, no such surrogate; 409, too few completed trials to fit it.
        """
        check(surrogate)
        with _refusals(evidence, surrogate):
            return self._engine.ask(predict, surrogate, evidence.space, evidence.runs, mixtures)


_fitted: OrderedDict[bytes, Fitted] = OrderedDict()
"""In the process that computes: the surrogates it fitted last, to predict again."""


def predict(
    surrogate: str, space: MixtureSpace, runs: Runs, mixtures: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of a surrogate, fitted once for the same runs."""
    known = (surrogate, *space.domains, runs.weights, runs.score, runs.noise_sd, runs.benchmarks)
    key = hashlib.sha256(pickle.dumps(known)).digest()
    if key not in _fitted:
        _fitted[key] = fit(surrogate, space, runs, SEED)
    _fitted.move_to_end(key)
    while len(_fitted) > KEPT_FITTED:
        _fitted.popitem(last=False)
    return _fitted[key].predict(mixtures)


@contextmanager
def _refusals(evidence: Evidence, surrogate: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # Linear algebra and optimisers fail on runs that agree too well, or hardly differ.
        if isinstance(error, ValueError) and not isinstance(error, LinAlgError):
            raise Refused(409, "too-few-results", str(error)) from error
        log.exception("fit failed", study=evidence.spec.name, surrogate=surrogate)
        raise Refused(
            409,
            "fit-failed",
            f"{surrogate} cannot be fitted to these {len(evidence.runs)} runs: {error}",
        ) from error


def check(surrogate: str) -> None:
    """Raises:
    Refused: 404, no such surrogate.
    """
    if surrogate not in SURROGATES:
        raise Refused(
            404,
            "surrogate-not-found",
            f"no surrogate {surrogate!r}; there are {', '.join(SURROGATES)}",
        )
