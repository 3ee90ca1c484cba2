"""The figures of a surrogate's fit in words: what it says, and how far to trust it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from service.dashboard import words
from service.dashboard.charts.fits import DRAWN_PAIRS, DRAWN_POINTS, is_inside
from service.schemas import Lesson, StudySpec, SurrogateFit
from service.search.surrogates.carried import in_words
from service.study.points import widened

TITLES = {
    "bayes-quadratic": "Bayesian quadratic",
    "gp": "Gaussian process",
    "quadsurface": "Quadratic surface (the paper's)",
}
"""Surrogates the page shows, side by side in this order."""


LEAST_LESSON = 0.01
"""Expected gain, in units of one run's noise, below which a run is not worth suggesting."""


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
        inside = sum(is_inside(point) for point in fit.points)
        listed.append(
            Figure(
                "Coverage",
                words.share(inside / len(fit.points)),
                f"{inside:,} of {words.count(len(fit.points), 'run')} "
                f"{'lies inside its' if len(fit.points) == 1 else 'lie inside their'} 95% interval",
            )
        )
    return listed


def _variance(r2: float) -> str:
    if r2 <= 0:
        return "no better than the mean of the other runs"
    return f"of the variation between runs, {100 * r2:.0f}% is predicted"


def needed(study: StudySpec) -> int:
    """Completed runs that a first judgement needs."""
    return len(study.domains) + 1


def odds(log_ratio: float) -> str:
    """How many times as likely: `about as likely`, `3 times as likely`."""
    if log_ratio < 0.2:
        return "about as likely"
    times = math.exp(min(log_ratio, 30.0))
    if times > 1000:
        return "more than 1,000 times as likely"
    return f"{times:.0f} times as likely" if times >= 10 else f"{times:.2g} times as likely"


def too_few(study: StudySpec, fit: SurrogateFit) -> str | None:
    """Why there is nothing to draw, where that is so."""
    if fit.points:
        return None
    runs = words.count(fit.n, "completed run") if fit.n else "No completed run"
    return (
        f"{runs} so far: too few to leave one out and predict it. "
        f"A first judgement needs about {needed(study)}."
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
        "Each dot is one run, predicted from all the others; bars are 95% intervals. "
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


def knows_doubt(fit: SurrogateFit) -> bool:
    """Whether its uncertainty differs between mixtures, so that next runs can be suggested."""
    return fit.surrogate != "quadsurface"


def chance(fit: SurrogateFit) -> str:
    """How likely a search would still find something better."""
    percent = 100 * fit.chance_of_better
    said = "Less than 1%" if percent < 1 else f"{percent:.0f}%"
    return (
        f"{said} chance that another mixture beats it by more than the noise of one run "
        f"({words.points(fit.margin)} points)."
    )


def confirmations(fit: SurrogateFit) -> list[str]:
    """What mixtures that were run again gave, beside what the other runs predict."""
    return [
        f"Run {c.n} times: {words.points(c.mean)} ± {words.margin(widened(c.se, c.n))} on average. "
        f"The other runs predict {words.points(c.predicted)}: {_optimism(c.optimism)}."
        for c in fit.confirmations
    ]


_CALLED = {"merged": "merged models", "scheduled": "runs with a schedule"}


def channels(fit: SurrogateFit) -> list[str]:
    """What other evidence was worth, in runs of this study."""
    return [
        f"{words.count(one.n, 'score')} of {_CALLED.get(name, name)}: worth about "
        f"{words.count(round(one.worth_in_runs), 'run')} of this study; "
        f"{in_words(one.rho, one.rho_sd)}."
        for name, one in fit.channels.items()
    ]


def _optimism(value: float) -> str:
    points = words.points(abs(value))
    return f"{points} points too much" if value > 0 else f"{points} points too little"


def lessons(fit: SurrogateFit) -> list[Lesson]:
    """The suggested next runs: those expected to raise the best prediction by more than a trace."""
    return [item for item in fit.lessons if item.gain >= LEAST_LESSON * fit.noise_sd]


def lesson(item: Lesson) -> str:
    """What is predicted of a suggested next run."""
    return (
        f"{words.points(item.mean)} ± {words.margin(item.sd)} predicted; its run would raise the "
        f"best prediction by {100 * item.gain:.2g} points on average."
    )
