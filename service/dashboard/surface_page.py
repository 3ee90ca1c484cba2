"""Both surrogates in detail: what they expect along each domain, between three, and by trial."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from service import answers, evidence, surrogate_views
from service.context import Context, Service, StudyName
from service.dashboard import fit_words, fitting, mixture_page, surface_figures, surfaces
from service.dashboard.entry import Known, Shown, guarded
from service.dashboard.figures import Figure
from service.dashboard.rendering import render
from service.dashboard.surface_figures import Predicted
from service.errors import Refused
from service.evidence import Evidence
from service.schemas import Name
from service.search.space import FloatArray

router = APIRouter(prefix="/ui/studies/{study}/surfaces", include_in_schema=False)


@router.get("", dependencies=guarded)
def page(request: Request, board: Shown) -> HTMLResponse:
    """The page with its controls; charts are fetched by it."""
    best = board.history.best
    return render(
        request,
        "surfaces.html",
        board=board,
        study=board.study,
        corners=mixture_page.heaviest(board.study, best.mixture if best else {}),
        surrogates={name: fit_words.TITLES[name] for name in fitting.SIDE_BY_SIDE},
        fits_at_once=len(board.history.runs) <= fitting.FITTED_AT_ONCE,
    )


@router.get("/{surrogate}", dependencies=guarded)
def drawn(
    study: StudyName,
    surrogate: str,
    service: Service,
    histories: Known,
    corner: Annotated[list[Name], Query(max_length=3)] = [],  # noqa: B006 - FastAPI copies it
) -> dict[str, Any]:
    """Its charts by name; where there are none, `trouble` says why."""
    try:
        known = fitting.known(service, histories, study)
        diagnosis = service.fits.diagnosis(known, surrogate)
        fit = surrogate_views.fit(known, surrogate, diagnosis)
        run = answers.best_run(known)
        if run is None or not fit.points:
            said = fit_words.too_few(known.spec, fit) or "No completed run yet."
            raise Refused(409, "too-few-results", said)
    except Refused as refused:
        if refused.status == 404:
            raise
        return {"trouble": refused.detail, "figures": {}}
    best = evidence.weights(known.spec, [run.mixture])[0]
    figures = {
        "slices": _slices(service, known, surrogate, best),
        "residuals": surface_figures.residuals(known.spec, fit.points),
    }
    trouble = ""
    if corner:
        found = _surfaces(service, known, surrogate, best, corner)
        figures |= found
        if not found:
            trouble = "The best run gives these three hardly any weight; choose heavier ones."
    return {"trouble": trouble, "figures": figures}


def _slices(service: Context, known: Evidence, surrogate: str, best: FloatArray) -> Figure:
    cut = surfaces.slices(known.space, best)
    X = np.concatenate([part.mixtures for part in cut])
    mean, sd = fitting.predict(service, known, surrogate, X)
    ends = np.cumsum([len(part.steps) for part in cut])[:-1]
    found = [Predicted(m, s) for m, s in zip(np.split(mean, ends), np.split(sd, ends), strict=True)]
    return surface_figures.slice_curves(known.spec, best, list(zip(cut, found, strict=True)))


def _surfaces(
    service: Context, known: Evidence, surrogate: str, best: FloatArray, corner: list[Name]
) -> dict[str, Figure]:
    names = [domain.name for domain in known.spec.domains]
    corners = [names.index(name) for name in mixture_page.corners_of(known.spec, corner)]
    X = surfaces.triangle(known.space, best, corners)
    if not len(X):
        return {}
    found = Predicted(*fitting.predict(service, known, surrogate, X))
    return {
        name: surface_figures.surface(known.spec, corners, X, found, doubt=doubt)
        for name, doubt in (("mean", False), ("sd", True))
    }
