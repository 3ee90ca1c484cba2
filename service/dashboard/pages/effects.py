"""What matters: what more of each domain does to the objective and to every benchmark."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from service.context import Service, StudyName
from service.dashboard import dependencies
from service.dashboard.charts import effects as effect_charts
from service.dashboard.charts.figure import objective_label
from service.dashboard.dependencies import HistoryCache, guarded
from service.dashboard.queries.forms import Unset
from service.dashboard.rendering import piece
from service.errors import NoFit, invalid
from service.fitting import effects
from service.schemas import Name

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
    """The chart of a benchmark, or without a name of the objective, and the table of all; where
    there is none, `trouble` says why."""
    try:
        known = dependencies.fittable_evidence(service, histories, study)
        found = effects.answer(service.fits, known, effects.BY)
    except NoFit as refused:
        return _nothing(refused.detail)
    if not found.objective:
        return _nothing("With one domain there is nothing to weigh.")
    if benchmark is not None and benchmark not in found.benchmarks:
        names = [one.name for one in known.spec.benchmarks]
        if benchmark not in names:
            raise invalid(
                f"no benchmark {benchmark!r} in study {study!r}; it has {', '.join(names)}"
            )
        return _nothing(f"{benchmark} was not measured often enough yet.")

    def reach(name: str) -> float:
        return max(abs(change.mean) for change in found.benchmarks[name].values())

    shown = sorted(found.benchmarks, key=reach, reverse=True)[:COLUMNS]
    title = benchmark or objective_label(known.spec)
    return {
        "trouble": "",
        "figure": effect_charts.ranked(known.spec, found, benchmark or "", title),
        "html": piece("_effects.html", study=known.spec, found=found, shown=shown),
    }


def _nothing(trouble: str) -> dict[str, Any]:
    return {"trouble": trouble, "figure": None, "html": ""}
