"""Surrogates fitted on request, and kept until the study has new results."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from service.errors import Refused
from service.evidence import Evidence

KEPT = 64
"""Fits kept in memory; the one unused for longest goes first."""

SEED = 0
"""What is shown of a fit does not depend on chance."""


def known() -> Mapping[str, Any]:
    """The engine's surrogates by name."""
    from service.search.surrogates import SURROGATES

    return SURROGATES


class Fits:
    """Diagnoses and fitted surrogates of the present evidence, each computed once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], _Once] = OrderedDict()
        self._lock = threading.Lock()

    def diagnosis(self, evidence: Evidence, surrogate: str) -> Any:
        """Leave-one-out figures, best mixture, effects and messages.

        Raises:
            Refused: 404, no such surrogate.
        """
        from service.search.diagnostics import diagnose

        return self._once(
            "diagnosis",
            evidence,
            surrogate,
            lambda: diagnose(surrogate, evidence.space, evidence.runs, SEED),
        )

    def fitted(self, evidence: Evidence, surrogate: str) -> Any:
        """A surrogate that predicts.

        Raises:
            Refused: 404, no such surrogate; 409, too few completed trials to fit it.
        """
        from service.search.surrogates import fit

        return self._once(
            "fit",
            evidence,
            surrogate,
            lambda: fit(surrogate, evidence.space, evidence.runs, SEED),
        )

    def _once(self, what: str, evidence: Evidence, surrogate: str, make: Callable[[], Any]) -> Any:
        check(surrogate)
        key = (what, evidence.study_id, evidence.results, surrogate)
        with self._lock:
            once = self._kept.setdefault(key, _Once(threading.Lock()))
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        with once.lock:
            if not once.is_made:
                try:
                    once.value = make()
                except ValueError as error:
                    raise Refused(409, "too-few-results", str(error)) from error
                once.is_made = True
            return once.value


def check(surrogate: str) -> None:
    """Raises:
    Refused: 404, no such surrogate.
    """
    if surrogate not in known():
        raise Refused(
            404,
            "surrogate-not-found",
            f"no surrogate {surrogate!r}; there are {', '.join(sorted(known()))}",
        )


@dataclass(slots=True)
class _Once:
    lock: threading.Lock
    is_made: bool = False
    value: Any = None
