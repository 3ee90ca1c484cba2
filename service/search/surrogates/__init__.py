"""Surrogates: models from mixture to score. One file each, one small protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from service.search.counts import counted
from service.search.errors import TooFewRunsError, TooManyRunsError, UnsuitedError
from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.search.surrogates.aggregate import PerBenchmark
from service.search.surrogates.automatic import Automatic, takes
from service.search.surrogates.bayes_quadratic import BayesQuadratic
from service.search.surrogates.lightgbm import LightGbm
from service.search.surrogates.log_linear import LogLinear
from service.search.surrogates.protocol import Fitted, Surrogate, scores_for
from service.search.surrogates.quadsurface import QuadSurface

__all__ = [
    "SIDE_BY_SIDE",
    "SURROGATES",
    "TAKING_CHANNELS",
    "USING_SIMILARITY",
    "Fitted",
    "Surrogate",
    "averaged",
    "check",
    "fit",
    "fit_each",
    "is_installed",
]


def _gp() -> PerBenchmark:
    from service.search.surrogates.gp import GaussianProcess  # torch: seconds, so only when asked

    # The kind that suits the objective serves its benchmarks: trying all for each takes seconds.
    return PerBenchmark(GaussianProcess(), lambda whole: GaussianProcess([whole.choice]))


def _bayes_quadratic() -> PerBenchmark:
    return PerBenchmark(BayesQuadratic())


def _auto() -> Surrogate:
    return Automatic([make for name, make in SIDE_BY_SIDE.items() if is_installed(name)])


def averaged(runs: Runs) -> list[str]:
    """Names in `SIDE_BY_SIDE` of those that `auto` averages for such runs."""
    return [
        name for name, make in SIDE_BY_SIDE.items() if is_installed(name) and takes(make(), runs)
    ]


def is_installed(name: str) -> bool:
    """Whether the libraries are there that one of `SIDE_BY_SIDE` is made with."""
    return name != "gp" or find_spec("botorch") is not None


SIDE_BY_SIDE: dict[str, Callable[[], PerBenchmark]] = {
    "bayes-quadratic": _bayes_quadratic,
    "gp": _gp,
}
"""Those that know how sure they are where; `auto` averages them, of those installed."""

SURROGATES: dict[str, Callable[[], Surrogate]] = {
    "auto": _auto,
    **SIDE_BY_SIDE,
    "quadsurface": QuadSurface,
    "log-linear": LogLinear,
    "lightgbm": LightGbm,
}
"""How to make each surrogate, by name."""

TAKING_CHANNELS = ("auto", "bayes-quadratic", "gp")
"""Surrogates, and strategies by them, that learn from other channels than the target, too."""

USING_SIMILARITY = ("auto", "bayes-quadratic")
"""Those that use how alike domains are said to be."""


def fit(name: str, space: MixtureSpace, runs: Runs, seed: int) -> Fitted:
    """A surrogate fitted to runs.

    Raises:
        KeyError: no such surrogate.
        CannotFitError: as `check` says.
    """
    if name not in SURROGATES:
        raise KeyError(f"unknown surrogate {name!r}; known: {', '.join(SURROGATES)}")
    surrogate = SURROGATES[name]()
    check(name, surrogate, runs)
    return surrogate.fit(space, runs, seed)


def check(name: str, surrogate: Surrogate, runs: Runs) -> None:
    """Whether a surrogate takes such runs.

    Raises:
        CannotFitError: too few or too many of them, or with schedules; says what it takes.
    """
    if len(runs) < surrogate.min_runs:
        raise TooFewRunsError(
            f"{name} needs at least {counted(surrogate.min_runs, 'completed run')}; "
            f"so far there {'is' if len(runs) == 1 else 'are'} {len(runs)}"
        )
    if runs.schedules.size and not surrogate.takes_schedules:
        raise UnsuitedError(
            f"{name} knows mixtures alone, and runs of the study changed theirs on the way; "
            "auto and bayes-quadratic take schedules"
        )
    n_scores = scores_for(surrogate, runs)
    if n_scores > surrogate.max_runs:
        of_all = " and scores of other channels" if n_scores > len(runs) else ""
        raise TooManyRunsError(
            f"{name} takes at most {surrogate.max_runs:,} completed runs{of_all}; "
            f"there are {n_scores:,} "
            "(auto and bayes-quadratic take any number)"
        )


def fit_each(
    name: str, space: MixtureSpace, runs: Runs, others: Sequence[Runs], seed: int
) -> list[Fitted]:
    """One of `SIDE_BY_SIDE` fitted to other scores, of the kind that suits the objective's `runs`.

    Raises:
        CannotFitError: as `check` says.
    """
    fewest = min([runs, *others], key=len)
    made = SIDE_BY_SIDE[name]()
    check(name, made, fewest)
    check(name, made, runs)
    return made.each(space, runs, others, seed)
