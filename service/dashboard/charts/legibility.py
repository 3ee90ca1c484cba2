"""Whether lines over all domains and the map tell mixtures apart, and what tables say instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.dashboard.charts.embedding import distances
from service.dashboard.charts.figure import Figure
from service.dashboard.charts.mixtures import Dot, best, by_weight
from service.schemas import StudySpec
from service.search.situation import sign_of
from service.search.space import FloatArray

MOST_LINES = 300
MOST_DOMAINS = 24
"""Up to which lines can be followed, and their domains be read."""

LOW, MOST_LOW = 0.1, 0.8
"""Weights below `LOW` of the largest lie on the ground of the chart, and `MOST_LOW` of all may."""

LEAST_EXPLAINED = 0.5
"""Of the squared distances, that a map has to show."""

TOP = 0.1
"""Share of the runs that count as the best in a table."""

NEAREST = 12
"""Rows of the table of runs that are most like the best."""

TOLD = 3
"""Domains of such a run that are told: the heaviest."""


def lines_trouble(study: StudySpec, drawn: Sequence[Dot]) -> str:
    """Why lines over all domains do not tell these mixtures apart; empty where they do."""
    n_domains = len(study.domains)
    if len(drawn) > MOST_LINES:
        return f"{len(drawn)} lines hide each other."
    if n_domains > MOST_DOMAINS:
        return f"Lines over {n_domains} domains cannot be followed."
    weights = _weights(study, drawn)
    if (weights < LOW * weights.max()).mean() > MOST_LOW:
        return "Most weights are so small that their lines lie on the ground."
    return ""


def map_trouble(figure: Figure) -> str:
    """Why a map does not tell which mixtures are alike; empty where it does."""
    explained = figure["layout"]["meta"]["explained"]
    if explained >= LEAST_EXPLAINED:
        return ""
    return f"A plane shows {100 * explained:.0f}% of the squared distances: too little to go by."


@dataclass(frozen=True, slots=True)
class Leaning:
    """A domain's weight in the best run, and its mean in the best tenth and in the others."""

    domain: str
    place: int
    in_best: float
    in_top: float
    in_others: float


def leanings(study: StudySpec, drawn: Sequence[Dot]) -> list[Leaning]:
    """What the best runs have more or less of, the greatest difference first."""
    sign = sign_of(study.objective.direction)
    ranked = sorted(drawn, key=lambda dot: -sign * dot.score.value)
    n_top = max(1, round(TOP * len(ranked)))
    X = _weights(study, ranked)
    top, others = X[:n_top].mean(axis=0), X[n_top:].mean(axis=0) if len(X) > n_top else X[0]
    found = [
        Leaning(domain.name, place, float(X[0, place]), float(top[place]), float(others[place]))
        for place, domain in enumerate(study.domains)
    ]
    return sorted(found, key=lambda one: -abs(one.in_top - one.in_others))


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A run by its distance from the best one, with what weighs most in it."""

    dot: Dot
    distance: float
    heaviest: list[tuple[str, float]]


def neighbours(study: StudySpec, drawn: Sequence[Dot]) -> list[Neighbour]:
    """The best run and those whose mixtures are most like its own."""
    X = _weights(study, drawn)
    away = distances(X, X[list(drawn).index(best(study, drawn))])
    nearest = np.argsort(away, kind="stable")[:NEAREST]
    return [
        Neighbour(drawn[i], float(away[i]), by_weight(drawn[i].mixture, TOLD))
        for i in map(int, nearest)
    ]


def _weights(study: StudySpec, drawn: Sequence[Dot]) -> FloatArray:
    """(n, m) of the mixtures, in the order of the study's domains."""
    names = [domain.name for domain in study.domains]
    return np.array([[dot.mixture.get(name, 0.0) for name in names] for dot in drawn])
