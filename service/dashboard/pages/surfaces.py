"""Both surrogates in detail: what they expect along each domain, between three, and by trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from service.context import Service, StudyName
from service.dashboard import dependencies, fit_words
from service.dashboard.charts import slices
from service.dashboard.charts import surfaces as surface_charts
from service.dashboard.charts.figure import Figure
from service.dashboard.charts.surfaces import Predicted
from service.dashboard.dependencies import HistoryCache, StudyBoard, guarded
from service.dashboard.navigation import StudyLink
from service.dashboard.pages import mixtures
from service.dashboard.rendering import render
from service.errors import NoFit
from service.fitting.fits import Fits
from service.schemas import Name, SurrogateFit
from service.search.space import FloatArray
from service.study import engine_terms
from service.study.evidence import Evidence

LINK = StudyLink("surfaces", "Surfaces")
router = APIRouter(prefix="/ui/studies/{study}/surfaces", include_in_schema=False)


@router.get("", dependencies=guarded)
def page(request: Request, board: StudyBoard, service: Service) -> HTMLResponse:
    """The page with its controls; charts are fetched by it."""
    best = board.history.best
    return render(
        request,
        "surfaces.html",
        board=board,
        study=board.study,
        corners=mixtures.heaviest(board.study, best.mixture if best else {}),
        surrogates={name: fit_words.TITLES[name] for name in dependencies.SIDE_BY_SIDE},
        fits_at_once=len(board.history.runs) <= dependencies.fitted_unasked(service),
        most_runs=dependencies.FITTED_AT_ALL,
    )


@router.get("/{surrogate}", dependencies=guarded)
def drawn(
    study: StudyName,
    surrogate: str,
    service: Service,
    histories: HistoryCache,
    corner: Annotated[list[Name], Query(max_length=3)] = [],  # noqa: B006 - FastAPI copies it
) -> dict[str, Any]:
    """Its charts by name; where there are none, `trouble` says why."""
    try:
        known = dependencies.fittable_evidence(service, histories, study)
        fit = service.fits.fit(known, surrogate).record.fit
        best = known.train_this()
        if best is None or not fit.points:
            said = fit_words.too_few(known.spec, fit) or "No completed run yet."
            raise NoFit("too-few-results", said)
    except NoFit as refused:
        return {"trouble": refused.detail, "figures": {}}
    found = around(service.fits, known, fit, best.mixture, corner)
    trouble = ""
    if corner and "mean" not in found:
        trouble = "The mixture to train gives these three hardly any weight; choose heavier ones."
    return {"trouble": trouble, "figures": found}


def around(
    fits: Fits, known: Evidence, fit: SurrogateFit, start: dict[str, float], corners: Sequence[str]
) -> dict[str, Figure]:
    """A surrogate's charts by name as seen from a mixture; surfaces only where corners have weight.

    Raises:
        Refused: `corners` are not three domains; or the surrogate cannot predict.
    """
    best = engine_terms.weights(known.spec, [start])[0]
    found = {
        "slices": _slices(fits, known, fit.surrogate, best),
        "residuals": surface_charts.residuals(known.spec, fit.points),
    }
    return found | (_surfaces(fits, known, fit.surrogate, best, corners) if corners else {})


def _slices(fits: Fits, known: Evidence, surrogate: str, best: FloatArray) -> Figure:
    cut = slices.slices(known.space, best)
    X = np.concatenate([part.mixtures for part in cut])
    mean, sd = fits.predict(known, surrogate, X)
    ends = np.cumsum([len(part.steps) for part in cut])[:-1]
    found = [Predicted(m, s) for m, s in zip(np.split(mean, ends), np.split(sd, ends), strict=True)]
    return surface_charts.slice_curves(known.spec, best, list(zip(cut, found, strict=True)))


def _surfaces(
    fits: Fits, known: Evidence, surrogate: str, best: FloatArray, chosen: Sequence[str]
) -> dict[str, Figure]:
    names = [domain.name for domain in known.spec.domains]
    corners = [names.index(name) for name in mixtures.corners_of(known.spec, chosen)]
    X = slices.triangle(known.space, best, corners)
    if not len(X):
        return {}
    found = Predicted(*fits.predict(known, surrogate, X))
    return {
        name: surface_charts.surface(known.spec, corners, X, found, best, doubt=doubt)
        for name, doubt in (("mean", False), ("sd", True))
    }
