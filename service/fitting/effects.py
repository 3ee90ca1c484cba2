"""What each domain does to the objective and to every benchmark, seen from the mixture to train."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.errors import NoFit, Refused
from service.fitting.fits import Fits, Predicted
from service.schemas import Prediction, StudyEffects
from service.search.runs import Runs
from service.search.space import FloatArray
from service.search.surrogates import SIDE_BY_SIDE
from service.study import engine_terms, evidence
from service.study.evidence import Evidence

BY = "bayes-quadratic"
"""Whose view it is unless another is asked for: it is fitted in a second, to any number of runs."""

STEP = 0.1
"""Weight that a domain gains."""

LEAST_RUNS = 2
"""Runs of a benchmark that a surrogate is fitted to."""


def answer(
    fits: Fits, known: Evidence, surrogate: str, benchmarks: Sequence[str] | None = None
) -> StudyEffects:
    """What `STEP` more of each domain does, the others giving it up in proportion; domains with the
    greatest effect on the objective first, dropped ones left out.

    A domain that has more than 1 - `STEP` of the mixture is taken back to that first.

    Args:
        benchmarks: that are told besides, where enough runs were scored on them; None for all. Each
            needs a fit of its own.

    Raises:
        Refused: no such surrogate, or one that does not know how sure it is; too few runs.
    """
    if surrogate not in SIDE_BY_SIDE:
        raise Refused(
            "surrogate-not-found",
            f"effects are told by {' or '.join(SIDE_BY_SIDE)}, not by {surrogate!r}",
        )
    best = known.train_this()
    if best is None:
        raise NoFit("too-few-results", "no completed run yet: there is no mixture to start from")
    names = known.used
    start = engine_terms.weights(known.spec, [best.mixture])[0]
    places = [known.space.domains.index(name) for name in names]
    at, against = _moves(start, places)
    others = {
        name: runs
        for name, runs in measured(known).items()
        if benchmarks is None or name in benchmarks
    }
    objective, each = fits.differences(known, surrogate, others, at, against)
    ranked = sorted(range(len(objective[0])), key=lambda i: -abs(objective[0][i]))
    return StudyEffects(
        surrogate=surrogate,
        step=STEP,
        start=best.mixture,
        trials=best.numbers,
        objective=_by_domain(names, ranked, objective),
        benchmarks={name: _by_domain(names, ranked, found) for name, found in each.items()},
    )


def measured(known: Evidence) -> dict[str, Runs]:
    """Runs by each benchmark that enough of them were scored on."""
    runs = {b.name: evidence.runs_of(known, b.name) for b in known.spec.benchmarks}
    return {name: own for name, own in runs.items() if len(own) >= LEAST_RUNS}


def _moves(start: FloatArray, places: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    """(k, m) the mixtures with more of each of k domains, and those that they are told against."""
    if len(places) < 2:
        nothing = np.empty((0, len(start)))
        return nothing, nothing
    low = [min(float(start[place]), 1.0 - STEP) for place in places]
    at = [_with(start, place, w + STEP, places) for place, w in zip(places, low, strict=True)]
    against = [_with(start, place, w, places) for place, w in zip(places, low, strict=True)]
    return np.array(at), np.array(against)


def _with(start: FloatArray, place: int, weight: float, places: Sequence[int]) -> FloatArray:
    """A mixture with this weight of a domain: the others share the rest as they did, or equally
    where they had nothing."""
    rest = start.copy()
    rest[place] = 0.0
    if rest.sum() <= 0:
        rest[[other for other in places if other != place]] = 1.0
    moved: FloatArray = rest * (1.0 - weight) / rest.sum()
    moved[place] = weight
    return moved


def _by_domain(
    names: Sequence[str], ranked: Sequence[int], found: Predicted
) -> dict[str, Prediction]:
    mean, sd = found
    return {names[i]: Prediction(mean=float(mean[i]), sd=float(sd[i])) for i in ranked}
