"""Why a surrogate is not fitted to runs, each with a stable `code`."""

from __future__ import annotations

from typing import ClassVar


class CannotFitError(ValueError):
    """A surrogate does not take such runs; says what it takes."""

    code: ClassVar[str]


class TooFewRunsError(CannotFitError):
    """It needs more of them."""

    code = "too-few-results"


class TooManyRunsError(CannotFitError):
    """It takes no more than so many."""

    code = "too-many-results"


class UnsuitedError(CannotFitError):
    """It is not made for what is asked, whatever the number of runs: another one is."""

    code = "surrogate-unsuited"
