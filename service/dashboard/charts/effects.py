"""What more of each domain does to a score (`figure.py` says how charts are made)."""

from __future__ import annotations

from service.dashboard import colours, words
from service.dashboard.charts.figure import LEGEND_LETTERS, TITLE_LETTERS, Figure
from service.dashboard.charts.fits import dots
from service.schemas import Prediction, StudyEffects, StudySpec


def ranked(study: StudySpec, found: StudyEffects, benchmark: str, title: str) -> Figure:
    """The effect of every domain on a benchmark, or with no name on the objective, the greatest on
    top, with 95% intervals."""
    looks = colours.looks([domain.name for domain in study.domains])
    by_domain = by_size(found.benchmarks[benchmark] if benchmark else found.objective)
    rows = [
        (name, change, f"@d{looks[name].colour}") for name, change in reversed(by_domain.items())
    ]
    figure = dots(
        rows,
        words.short_names([name for name, _, _ in rows], LEGEND_LETTERS),
        f"change of {words.elided(title, TITLE_LETTERS)}, points",
    )
    figure["data"][0]["marker"]["symbol"] = [looks[name].symbol for name, _, _ in rows]
    figure["layout"]["xaxis"] |= {"zeroline": True, "zerolinecolor": "@muted"}
    return figure


def by_size(by_domain: dict[str, Prediction]) -> dict[str, Prediction]:
    """The greatest effect first, whichever way it goes."""
    return dict(sorted(by_domain.items(), key=lambda item: -abs(item[1].mean)))
