"""The engine's diagnosis of a surrogate as the wire shows it."""

from __future__ import annotations

import numpy as np

from service.schemas import FitPoint, SurrogateFit
from service.search import documents
from service.search.diagnostics import Diagnosis
from service.search.documents import finite
from service.search.schedules import named_phases
from service.study import points, schedules
from service.study.evidence import Evidence


def fit(known: Evidence, name: str, diagnosis: Diagnosis) -> SurrogateFit:
    """Figures, effects and points with the study's names of domains and trials."""
    found = documents.diagnosis(known.space, diagnosis)
    channels = {
        channel: documents.channel(len(known.runs.channels[channel]), carried)
        for channel, carried in diagnosis.channels.items()
        if carried is not None
    }
    found["messages"] = [*found["messages"], *_of_schedules(known, diagnosis), *known.notes]
    return SurrogateFit.model_validate(
        {
            "surrogate": name,
            "points": _points(known, diagnosis),
            "channels": channels,
            **found,
        }
    )


def _of_schedules(known: Evidence, diagnosis: Diagnosis) -> list[str]:
    """What the best schedule is expected to gain, where the search proposes schedules."""
    best = diagnosis.schedule
    if best is None:
        return []
    if not best.is_changing:
        return [f"{schedules.NONE_BETTER.capitalize()}."]
    gain = points.signed(best.gain, best.sd)
    stored = named_phases(known.space, best.shares, best.phases)
    return [
        f"The best schedule is predicted {gain} points over the best mixture that stays the same: "
        f"{schedules.in_words(stored)}."
    ]


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
