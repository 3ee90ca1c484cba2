"""All mixtures of a study: as bars, in a triangle of three domains, and over all domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from db import models, studies
from service.context import Service, StudyName
from service.dashboard import words
from service.dashboard.charts import legibility
from service.dashboard.charts import mixtures as mixture_charts
from service.dashboard.charts.figure import Figure
from service.dashboard.charts.mixtures import Dot
from service.dashboard.dependencies import HistoryCache, StudyBoard, guarded
from service.dashboard.navigation import StudyLink
from service.dashboard.queries import mixtures
from service.dashboard.queries.history import Histories
from service.dashboard.queries.mixtures import Item, Wanted
from service.dashboard.rendering import piece, render
from service.errors import invalid
from service.schemas import Name, StudySpec
from service.study import views

LINK = StudyLink("mixtures", "Mixtures")
router = APIRouter(prefix="/ui/studies/{study}/mixtures", include_in_schema=False)

MixtureQuery = Annotated[Wanted, Query()]


class Corners(Wanted):
    """Which trials, and between which three domains they are drawn."""

    a: Name | None = None
    b: Name | None = None
    c: Name | None = None


@router.get("", dependencies=guarded)
def page(request: Request, board: StudyBoard) -> HTMLResponse:
    """The page with its controls; trials and charts are fetched by it."""
    return render(
        request,
        "mixtures.html",
        board=board,
        study=board.study,
        corners=heaviest(board.study, board.history.best.mixture if board.history.best else {}),
        states=models.TRIAL_STATES,
        has_map=len(board.study.domains) >= mixture_charts.MAPPED_FROM,
    )


@router.get("/found", dependencies=guarded)
def found(
    study: StudyName, service: Service, histories: HistoryCache, wanted: MixtureQuery
) -> dict[str, str | int | bool]:
    """A page of the trials that are wanted, as HTML."""
    spec, items = _chosen(study, service, histories, wanted)
    shown = items[wanted.offset : wanted.offset + mixtures.PAGE]
    return {
        "n": len(items),
        "said": words.count(len(items), "trial"),
        "more": len(items) > wanted.offset + len(shown),
        "html": piece("_mixtures.html", study=spec, items=shown),
    }


@router.get("/figures", dependencies=guarded)
def drawn(
    study: StudyName, service: Service, histories: HistoryCache, wanted: Annotated[Corners, Query()]
) -> dict[str, Any]:
    """Charts of the completed ones among them, in words what is drawn, and tables where a chart
    does not tell them apart."""
    spec, items = _chosen(study, service, histories, wanted)
    dots = mixture_charts.dots(spec, items)
    scored = sum(item.score is not None for item in items)
    said = f"{words.count(scored, 'completed run')}."
    if len(dots) < scored:
        said += f" An even selection of {len(dots):,} is drawn."
    if not dots:
        nothing = {"said": "No completed run among them.", "map_said": "", "instead": {}}
        return nothing | dict.fromkeys(CHARTS)
    corners = [corner for corner in (wanted.a, wanted.b, wanted.c) if corner is not None]
    mapped = mixture_charts.distance_map(spec, dots)
    return {
        "said": said,
        "map": mapped,
        "map_said": mixture_charts.map_aid(mapped) if mapped else NO_MAP,
        "instead": _instead(spec, dots, mapped),
        "parallel": mixture_charts.parallel(spec, dots),
        "ternary": mixture_charts.ternary(spec, dots, corners_of(spec, corners))
        if corners
        else None,
    }


def _instead(study: StudySpec, dots: Sequence[Dot], mapped: Figure | None) -> dict[str, str]:
    """Tables by the names of the charts that they stand for."""
    found = {}
    if trouble := legibility.lines_trouble(study, dots):
        rows = legibility.leanings(study, dots)
        found["parallel"] = piece("_lines_instead.html", study=study, trouble=trouble, rows=rows)
    if mapped and (trouble := legibility.map_trouble(mapped)):
        near = legibility.neighbours(study, dots)
        found["map"] = piece("_map_instead.html", study=study, trouble=trouble, rows=near)
    return found


NO_MAP = "A map needs three mixtures that differ."
CHARTS = ("map", "parallel", "ternary")


def heaviest(study: StudySpec, mixture: dict[str, float]) -> list[str]:
    """The three domains with most weight, in the study's order; none where there are fewer."""
    names = [domain.name for domain in study.domains]
    if len(names) < 3:
        return []
    top = sorted(names, key=lambda name: -mixture.get(name, 0.0))[:3]
    return [name for name in names if name in top]


def corners_of(study: StudySpec, corners: Sequence[str]) -> Sequence[str]:
    """Three domains of the study.

    Raises:
        Refused: they are not.
    """
    names = [domain.name for domain in study.domains]
    if len(set(corners)) != 3 or not set(corners) <= set(names):
        raise invalid(
            f"a triangle has three different domains of study {study.name!r}, not "
            f"{', '.join(corners)}; it has {', '.join(names)}"
        )
    return corners


def _chosen(
    study: str, service: Service, histories: Histories, wanted: Wanted
) -> tuple[StudySpec, list[Item]]:
    with service.database.read() as session:
        row = studies.get(session, study)
        spec = views.spec(row)
        items = mixtures.read(session, row, histories.of(session, row, spec))
    return spec, mixtures.chosen(spec, items, wanted)
