"""Surrogates fitted on request, and kept until the study has new results."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog
from numpy.linalg import LinAlgError

from service.errors import Refused
from service.evidence import Evidence
from service.search.diagnostics import Diagnosis, diagnose
from service.search.surrogates import SURROGATES, Fitted, fit

log = structlog.get_logger()
T = TypeVar("T")

KEPT = 64
"""Fits kept in memory; the one unused for longest goes first."""

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
        self._values: OrderedDict[tuple[int, int, str], _Once[T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, evidence: Evidence, surrogate: str, make: Callable[[], T]) -> T:
        check(surrogate)
        key = (evidence.study_id, evidence.results, surrogate)
        with self._lock:
            once = self._values.setdefault(key, _Once(make))
            self._values.move_to_end(key)
            while len(self._values) > KEPT:
                self._values.popitem(last=False)
        try:
            return once.value()
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


class Fits:
    """Diagnoses and fitted surrogates of the present evidence, each computed once."""

    def __init__(self) -> None:
        self._diagnoses: _Kept[Diagnosis] = _Kept()
        self._fitted: _Kept[Fitted] = _Kept()

    def diagnosis(self, evidence: Evidence, surrogate: str) -> Diagnosis:
        """Leave-one-out figures, best mixture, effects and messages.

        Raises:
            Refused: 404, no such surrogate; 409, too few completed trials to fit it.
        """
        space, runs = evidence.space, evidence.runs
        direction = evidence.spec.objective.direction
        return self._diagnoses.get(
            evidence, surrogate, lambda: diagnose(surrogate, space, runs, SEED, direction)
        )

    def fitted(self, evidence: Evidence, surrogate: str) -> Fitted:
        """A surrogate that predicts.

        Raises:
            Refused: 404, no such surrogate; 409, too few completed trials to fit it.
        """
        space, runs = evidence.space, evidence.runs
        return self._fitted.get(evidence, surrogate, lambda: fit(surrogate, space, runs, SEED))


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
