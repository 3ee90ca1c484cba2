"""What matters: what more of each domain does to the objective and to every benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query

from service.context import Context, Service, StudyName
from service.dashboard import dependencies
from service.dashboard.charts import effects as effect_charts
from service.dashboard.charts.figure import objective_label
from service.dashboard.dependencies import HistoryCache, guarded
from service.dashboard.queries.forms import Unset
from service.dashboard.queries.history import Histories
from service.dashboard.rendering import piece
from service.errors import NoFit, invalid
from service.fitting import effects
from service.schemas import Name, StudyEffects
from service.study.evidence import Evidence

router = APIRouter(prefix="/ui/studies/{study}/effects", include_in_schema=False)

COLUMNS = 12
"""Benchmarks in the table of all effects: those that some domain moves most."""


@router.get("", dependencies=guarded)
def drawn(
    study: StudyName,
    service: Service,
    histories: HistoryCache,
    benchmark: Annotated[Name | None, Unset, Query()] = None,
) -> dict[str, Any]:
    """The chart of a benchmark, or without a name of the objective; where there is none, `trouble`
    says why."""
    asked = [] if benchmark is None else [benchmark]
    try:
        known, found = _read(service, histories, study, asked)
    except NoFit as refused:
        return {"trouble": refused.detail, "figure": None}
    names = [one.name for one in known.spec.benchmarks]
    if benchmark is not None and benchmark not in names:
        raise invalid(f"no benchmark {benchmark!r} in study {study!r}; it has {', '.join(names)}")
    if benchmark is not None and benchmark not in found.benchmarks:
        return {"trouble": f"{benchmark} was not measured often enough yet.", "figure": None}
    title = benchmark or objective_label(known.spec)
    figure = effect_charts.ranked(known.spec, found, benchmark or "", title)
    return {"trouble": "", "figure": figure}


@router.get("/all", dependencies=guarded)
def table(study: StudyName, service: Service, histories: HistoryCache) -> dict[str, str]:
    """The effects of all domains on all scores, in HTML; why there are none, in words."""
    try:
        known, found = _read(service, histories, study, None)
    except NoFit as refused:
        return {"html": piece("_effects.html", trouble=refused.detail)}

    def reach(name: str) -> float:
        return max(abs(change.mean) for change in found.benchmarks[name].values())

    shown = sorted(found.benchmarks, key=reach, reverse=True)[:COLUMNS]
    html = piece("_effects.html", trouble=None, study=known.spec, found=found, shown=shown)
    return {"html": html}


def _read(
    service: Context, histories: Histories, study: str, benchmarks: Sequence[str] | None
) -> tuple[Evidence, StudyEffects]:
    """Raises:
    NoFit: there is nothing to tell yet.
    """
    known = dependencies.fittable_evidence(service, histories, study)
    found = effects.answer(service.fits, known, effects.BY, benchmarks)
    if not found.objective:
        raise NoFit("too-few-results", "With one domain there is nothing to weigh.")
    return known, found
