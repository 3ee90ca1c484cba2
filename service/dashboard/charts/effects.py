"""What more of each domain does to a score (`figure.py` says how charts are made)."""

from __future__ import annotations

from service.dashboard import colours, words
from service.dashboard.charts.figure import LEGEND_LETTERS, TITLE_LETTERS, Figure
from service.dashboard.charts.fits import dots
from service.schemas import Prediction, StudyEffects, StudySpec
from service.study import points


def ranked(study: StudySpec, found: StudyEffects, benchmark: str, title: str) -> Figure:
    """The effect of every domain on a benchmark, or with no name on the objective, the greatest on
    top, with 95% intervals; hollow where the study allows less than the whole step."""
    looks = colours.looks([domain.name for domain in study.domains])
    by_domain = by_size(found.benchmarks[benchmark] if benchmark else found.objective)
    rows = [
        (name, change, f"@d{looks[name].colour}") for name, change in reversed(by_domain.items())
    ]
    figure = dots(
        rows,
        words.short_names([name for name, _, _ in rows], LEGEND_LETTERS),
        f"change of {words.elided(title, TITLE_LETTERS)}",
    )
    rooms = [points.room(found.room.get(name, found.step), found.step) for name, _, _ in rows]
    (data,) = figure["data"]
    data["marker"]["symbol"] = [
        f"{looks[name].symbol}-open" if room else looks[name].symbol
        for (name, _, _), room in zip(rows, rooms, strict=True)
    ]
    data["marker"]["line"]["width"] = [2 if room else 1 for room in rooms]
    data["text"] = [
        f"{name}: {words.gain(change.mean)} ± {words.margin(change.sd)}"
        + (f" (the study allows {room})" if room else "")
        for (name, change, _), room in zip(rows, rooms, strict=True)
    ]
    data["hovertemplate"] = "%{text}<extra></extra>"
    figure["layout"]["xaxis"] |= {"zeroline": True, "zerolinecolor": "@muted"}
    return figure


def by_size(by_domain: dict[str, Prediction]) -> dict[str, Prediction]:
    """The greatest effect first, whichever way it goes."""
    return dict(sorted(by_domain.items(), key=lambda item: -abs(item[1].mean)))
