"""What each domain does to the objective and to every benchmark, seen from the mixture to train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.errors import NoFit, Refused
from service.fitting.fits import Fits, Predicted
from service.schemas import SUM_TOLERANCE, Prediction, StudyEffects
from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates import SIDE_BY_SIDE
from service.study import engine_terms, evidence
from service.study.evidence import Evidence

BY = "bayes-quadratic"
"""Whose view it is unless another is asked for: it is fitted in a second, to any number of runs."""

STEP = 0.1
"""Weight that a domain gains."""

PARTS = 100
"""Of `STEP`, in which it is told how much of it is possible."""

LEAST = STEP / 10
"""Of weight: a move of less is mostly rounding."""

LEAST_RUNS = 2
"""Runs of a benchmark that a surrogate is fitted to."""


def answer(
    fits: Fits, known: Evidence, surrogate: str, benchmarks: Sequence[str] | None = None
) -> StudyEffects:
    """What `STEP` more of each domain does, the others giving it up in proportion; domains with the
    greatest effect on the objective first, dropped ones left out.

    No mixture is looked at that the study does not allow: where a domain may gain less, the effect
    of that is told times as many as make `STEP`; of one that may gain nothing, what comes last
    before the mixture to train. Only of domains whose weight cannot change at all is it told as if
    it could.

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
        said = f"{known.why_none_to_train}: there is no mixture to start from"
        raise NoFit("too-few-results", said)
    names = known.used
    start = engine_terms.weights(known.spec, [best.mixture])[0]
    places = [known.space.domains.index(name) for name in names]
    moves = [_move(known.space, start, place, places) for place in places] if places[1:] else []
    at = np.array([one.at for one in moves]).reshape(-1, len(start))
    against = np.array([one.against for one in moves]).reshape(-1, len(start))
    times = np.array([one.times for one in moves])
    others = {
        name: runs
        for name, runs in measured(known).items()
        if benchmarks is None or name in benchmarks
    }
    objective, each = fits.differences(known, surrogate, others, at, against)
    objective = _times(times, objective)
    ranked = sorted(range(len(moves)), key=lambda i: -abs(objective[0][i]))
    return StudyEffects(
        surrogate=surrogate,
        step=STEP,
        start=best.mixture,
        trials=best.numbers,
        objective=_by_domain(names, ranked, objective),
        benchmarks={
            name: _by_domain(names, ranked, _times(times, found)) for name, found in each.items()
        },
        room={names[i]: round(moves[i].room, 3) for i in ranked},
    )


def measured(known: Evidence) -> dict[str, Runs]:
    """Runs by each benchmark that enough of them were scored on."""
    runs = {b.name: evidence.runs_of(known, b.name) for b in known.spec.benchmarks}
    return {name: own for name, own in runs.items() if len(own) >= LEAST_RUNS}


@dataclass(frozen=True, slots=True)
class _Move:
    """From a mixture to one with more of a domain.

    Attributes:
        at, against: (m,) the latter, and the former.
        room: weight that the domain may gain from where it is, at most `STEP`.
        times: how many such moves make one of `STEP`.
    """

    at: FloatArray
    against: FloatArray
    room: float
    times: float


def _move(space: MixtureSpace, start: FloatArray, place: int, places: Sequence[int]) -> _Move:
    """As far up as is possible; where that is next to nothing what comes last before `start`; where
    nothing else is possible at all, as if it were."""
    sizes = STEP * np.arange(PARTS, 0, -1) / PARTS
    weight = float(start[place])

    def furthest(sign: int) -> tuple[FloatArray, float]:
        moved = _with(start, place, weight + sign * sizes, places)
        possible = np.flatnonzero(space.contains(moved, SUM_TOLERANCE))
        return (moved[possible[0]], float(sizes[possible[0]])) if len(possible) else (start, 0.0)

    more, room = furthest(+1)
    if room >= LEAST:
        return _Move(more, start, room, STEP / room)
    less, back = furthest(-1)
    if back >= LEAST:
        return _Move(start, less, room, STEP / back)
    low = min(weight, 1.0 - STEP)
    at, against = _with(start, place, np.array([low + STEP, low]), places)
    return _Move(at, against, room, 1.0)


def _with(start: FloatArray, place: int, weights: FloatArray, places: Sequence[int]) -> FloatArray:
    """(n, m) mixtures with these weights (n,) of a domain: the others share the rest as they did,
    or equally where they had nothing."""
    rest = start.copy()
    rest[place] = 0.0
    if rest.sum() <= 0:
        rest[[other for other in places if other != place]] = 1.0
    moved: FloatArray = np.outer(1.0 - weights, rest / rest.sum())
    moved[:, place] = weights
    return moved


def _times(times: FloatArray, found: Predicted) -> Predicted:
    mean, sd = found
    return times * mean, times * sd


def _by_domain(
    names: Sequence[str], ranked: Sequence[int], found: Predicted
) -> dict[str, Prediction]:
    mean, sd = found
    return {names[i]: Prediction(mean=float(mean[i]), sd=float(sd[i])) for i in ranked}
