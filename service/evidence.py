"""A study and its trials as the arrays the engine takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from db import models, trials
from service import views
from service.schemas import Score, StudySpec, Trial
from service.search.runs import Runs
from service.search.space import MixtureSpace


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a study knows: its space and its completed trials that have an objective.

    Attributes:
        completed: in the order of `runs`.
        results: `Study.results` when it was read; the same number means the same evidence.
    """

    study_id: int
    spec: StudySpec
    results: int
    space: MixtureSpace
    completed: tuple[Trial, ...]
    runs: Runs


def read(session: Session, study: models.Study) -> Evidence:
    """The study's evidence, in order of trial number."""
    spec = views.spec(study)
    rows = trials.of_study(session, study, ["completed", "early_stopped"])
    shown = (views.trial(row, spec) for row in rows)
    completed = tuple(trial for trial in shown if trial.scores.objective is not None)
    return Evidence(
        study_id=study.id,
        spec=spec,
        results=study.results,
        space=space(spec),
        completed=completed,
        runs=_runs(spec, completed),
    )


def space(spec: StudySpec) -> MixtureSpace:
    return MixtureSpace(
        tuple(domain.name for domain in spec.domains),
        np.array([domain.lower for domain in spec.domains]),
        np.array([domain.upper for domain in spec.domains]),
    )


def weights(spec: StudySpec, mixtures: Sequence[dict[str, float]]) -> NDArray[np.float64]:
    """Mixtures as an (n, m) array in the study's domain order."""
    names = [domain.name for domain in spec.domains]
    rows = [[mixture.get(name, 0.0) for name in names] for mixture in mixtures]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(names))


def _runs(spec: StudySpec, completed: Sequence[Trial]) -> Runs:
    def values(scores: Sequence[Score | None]) -> NDArray[np.float64]:
        return np.array([np.nan if score is None else score.value for score in scores])

    objectives = [trial.scores.objective for trial in completed]
    return Runs(
        weights=weights(spec, [trial.mixture for trial in completed]),
        score=values(objectives),
        noise_sd=np.array([np.nan if score is None else score.se for score in objectives]),
        in_score=values([trial.scores.in_score for trial in completed]),
        out_score=values([trial.scores.out_score for trial in completed]),
    )
