"""What surrogates have learned from a study, and their predictions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from service.context import Service, StudyName
from service.fitting import fits
from service.http.guards import for_readers, route_behind
from service.http.problems import describe
from service.schemas import PredictAnswer, Prediction, PredictRequest, SurrogateFit
from service.search.schedules import mean_of
from service.study import checks, engine_terms, evidence, schedules

router = APIRouter(
    prefix="/studies/{study}/surrogates", tags=["surrogates"], route_class=route_behind(for_readers)
)

SurrogateName = Annotated[str, Path(description="Name of the surrogate.", max_length=64)]


@router.get("/{name}", summary="Fit a surrogate and judge it", responses=describe(404, 409))
def one(study: StudyName, name: SurrogateName, service: Service) -> SurrogateFit:
    """Leave-one-out figures, effects and the best predicted mixture of the completed trials."""
    fits.check(name)
    with service.database.read() as session:
        known = evidence.named(session, study)
    return service.fits.fit(known, name).record.fit


@router.post(
    "/{name}/predict", summary="Predict mixtures, or schedules", responses=describe(404, 409)
)
def predict(
    study: StudyName, name: SurrogateName, body: PredictRequest, service: Service
) -> PredictAnswer:
    """Mean and standard deviation of the objective, without the noise of a measurement."""
    fits.check(name)
    with service.database.read() as session:
        known = evidence.named(session, study)
    space = engine_terms.space(known.spec)
    mixtures = [checks.mixture(known.spec, mixture, space) for mixture in body.mixtures]
    asked = [engine_terms.weights(known.spec, mixtures)] if mixtures else []
    if body.schedules:
        points = schedules.points_of(known.spec, body.schedules)
        for mean in mean_of(points, space.m):
            checks.mixture(known.spec, space.named(mean), space)
        asked.append(points)
    predictions = [
        Prediction(mean=float(mean), sd=float(sd))
        for X in asked
        for mean, sd in zip(*service.fits.predict(known, name, X), strict=True)
    ]
    return PredictAnswer(surrogate=name, predictions=predictions)
