"""What `auto` predicts of the mixture to train, and how far it goes by which surrogate."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from scipy.special import ndtr

from service.context import Context, Service, StudyName
from service.dashboard import dependencies, fit_words
from service.dashboard.dependencies import HistoryCache, guarded
from service.dashboard.rendering import piece
from service.errors import NoFit
from service.fitting.fits import compared
from service.schemas import Score
from service.search.situation import sign_of
from service.study.evidence import Evidence, MeasuredRun
from service.study.headline import Tried

router = APIRouter(prefix="/ui/studies/{study}/trust", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Belief:
    """What is expected of a mixture without the noise of single runs.

    Attributes:
        shares: of the surrogates that `auto` averages, by name.
        densities: of each, log density of the runs left out.
        score: the noise-free objective.
        gain: over equal weights in the objective's direction, both uncertain together.
        probability: that it is better than equal weights.
    """

    shares: dict[str, float]
    densities: dict[str, float]
    score: Score
    gain: Score
    probability: float


@router.get("", dependencies=guarded)
def panels(study: StudyName, service: Service, histories: HistoryCache) -> dict[str, str]:
    """Both panels as HTML; empty while there are too few runs to judge by, or too many to fit."""
    try:
        known = dependencies.fittable_evidence(service, histories, study)
        best = known.train_this()
        if best is None or len(known.completed) < fit_words.needed(known.spec):
            return {"belief": "", "trust": ""}
        belief = _belief(service, known, best)
    except NoFit:
        return {"belief": "", "trust": ""}
    shown = {"belief": belief, "titles": fit_words.TITLES, "n": len(known.completed)}
    return {"belief": piece("_belief.html", **shown), "trust": piece("_trust.html", **shown)}


def _belief(service: Context, known: Evidence, best: Tried[MeasuredRun]) -> Belief:
    verdict = service.fits.verdict(known, compared(known, best))
    belief = verdict.posterior
    more, sd = belief.difference()
    gain, sd = sign_of(known.spec.objective.direction) * more, max(sd, 1e-6)
    return Belief(
        shares=verdict.shares,
        densities=verdict.densities,
        score=Score(value=float(belief.mean[0]), se=float(belief.sd[0])),
        gain=Score(value=gain, se=sd),
        probability=float(ndtr(gain / sd)),
    )
