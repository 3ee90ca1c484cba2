"""The figures of a surrogate's fit in words: what it says, and how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.dashboard import colours, words
from service.dashboard.figures import DRAWN_PAIRS, DRAWN_POINTS
from service.schemas import StudySpec, SurrogateFit

TITLES = {
    "bayes-quadratic": "Bayesian quadratic",
    "gp": "Gaussian process",
    "quadsurface": "Quadratic surface (the paper's)",
}
"""Surrogates the page shows, side by side in this order."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: short name, value, and what it means."""

    name: str
    value: str
    meaning: str


def figures(fit: SurrogateFit) -> list[Figure]:
    """Leave-one-out figures; what too few runs leave undefined says so."""
    loo = fit.loo
    listed: list[Figure] = []
    if loo.r2 is not None:
        listed.append(Figure("R²", words.number(loo.r2), _variance(loo.r2)))
    if loo.spearman is not None:
        listed.append(
            Figure("Spearman", words.number(loo.spearman), "how well it ranks runs it has not seen")
        )
    if loo.rmse is not None:
        listed.append(
            Figure("RMSE", f"{words.points(loo.rmse)} points", "its typical error for a new run")
        )
    if loo.coverage_90 is not None and fit.points:
        inside = round(loo.coverage_90 * len(fit.points))
        listed.append(
            Figure(
                "Coverage",
                words.share(loo.coverage_90),
                f"{inside:,} of {words.count(len(fit.points), 'run')} lie inside their "
                "90% interval",
            )
        )
    return listed


def _variance(r2: float) -> str:
    if r2 <= 0:
        return "no better than the mean of the other runs"
    return f"of the variation between runs, {100 * r2:.0f}% is predicted"


def too_few(study: StudySpec, fit: SurrogateFit) -> str | None:
    """Why there is nothing to draw, where that is so."""
    if fit.points:
        return None
    needed = len(study.domains) + 1
    runs = words.count(fit.n, "completed run") if fit.n else "No completed run"
    return (
        f"{runs} so far: too few to leave one out and predict it. "
        f"A first judgement needs about {needed}."
    )


def too_many(n_runs: int, most: int) -> str:
    """Why nothing is fitted here."""
    return f"{n_runs:,} runs are too many to fit here; surrogates are fitted to at most {most:,}."


def reading_aid(fit: SurrogateFit) -> str:
    """What the chart of predicted against actual shows."""
    drawn = ""
    if len(fit.points) > DRAWN_POINTS:
        drawn = f" An even selection of the {len(fit.points):,} runs is drawn."
    return (
        "Each dot is one run, predicted from all the others; bars are 90% intervals. "
        f"A good fit lies along the dashed line.{drawn}"
    )


def synergy_aid(fit: SurrogateFit) -> str:
    """What the synergy chart shows, and which pairs it leaves out."""
    text = (
        "What an equal blend of two domains scores above (right) or below (left) the mean of the "
        "two, with 95% intervals."
    )
    pairs = len(fit.effects.synergy) if fit.effects else 0
    if pairs > DRAWN_PAIRS:
        text += f" The {DRAWN_PAIRS} clearest of {pairs} pairs."
    return text


def segments(study: StudySpec, fit: SurrogateFit) -> Sequence[colours.Segment]:
    """The mixture the surrogate holds for the best."""
    if fit.best is None:
        return ()
    return colours.segments([domain.name for domain in study.domains], fit.best.weights)
