"""The engine's diagnosis of a surrogate as the wire shows it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.schemas import (
    Confirmation,
    Effects,
    FitPoint,
    LeaveOneOut,
    Lesson,
    PredictedMixture,
    Prediction,
    SurrogateFit,
)
from service.search.diagnostics import Best, Diagnosis, Estimate
from service.study.evidence import Evidence
from service.study.views import finite


def fit(known: Evidence, name: str, diagnosis: Diagnosis) -> SurrogateFit:
    """Figures, effects and points with the study's names of domains and trials."""
    loo = diagnosis.loo
    return SurrogateFit(
        surrogate=name,
        kind=f"{diagnosis.name}: {diagnosis.kind}",
        n=diagnosis.n,
        noise_sd=diagnosis.noise_sd,
        loo=LeaveOneOut(
            r2=finite(loo.r2),
            spearman=finite(loo.spearman),
            rmse=finite(loo.rmse),
            nlpd=finite(loo.nlpd),
            coverage_90=finite(loo.coverage_90),
        ),
        points=_points(known, diagnosis),
        best=mixture(known, diagnosis.best),
        effects=_effects(known, diagnosis),
        lessons=[
            Lesson(weights=_named(known, x.weights), gain=x.gain, mean=x.mean, sd=x.sd)
            for x in diagnosis.lessons
        ],
        margin=diagnosis.margin,
        chance_of_better=diagnosis.chance_of_better,
        confirmations=[
            Confirmation(
                weights=_named(known, x.weights),
                n=x.n,
                predicted=x.predicted,
                mean=x.mean,
                se=x.se,
                optimism=x.optimism,
            )
            for x in diagnosis.confirmations
        ],
        messages=diagnosis.messages,
    )


def mixture(known: Evidence, predicted: Best) -> PredictedMixture:
    """The engine's predicted mixture with the study's domain names."""
    weights = _named(known, predicted.weights)
    return PredictedMixture(weights=weights, mean=predicted.mean, sd=predicted.sd)


def _named(known: Evidence, weights: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(_names(known), map(float, weights), strict=True))


def _points(known: Evidence, diagnosis: Diagnosis) -> list[FitPoint]:
    return [
        FitPoint(
            trial=trial.id,
            number=trial.number,
            actual=float(actual),
            se=float(se),
            mean=float(mean),
            sd=float(sd),
            pit=finite(pit),
        )
        for trial, actual, se, mean, sd, pit in zip(
            known.completed,
            known.runs.score,
            known.runs.noise_sd,
            diagnosis.loo.mean,
            diagnosis.loo.sd,
            diagnosis.loo.pit,
            strict=True,
        )
        if np.isfinite(mean) and np.isfinite(sd)
    ]


def _effects(known: Evidence, diagnosis: Diagnosis) -> Effects:
    names = _names(known)

    def shown(estimate: Estimate) -> Prediction:
        return Prediction(mean=estimate.mean, sd=estimate.sd)

    found = diagnosis.effects
    return Effects(
        alone={name: shown(value) for name, value in zip(names, found.alone, strict=True)},
        synergy={f"{names[i]}*{names[j]}": shown(value) for (i, j), value in found.synergy.items()},
    )


def _names(known: Evidence) -> list[str]:
    return [domain.name for domain in known.spec.domains]
