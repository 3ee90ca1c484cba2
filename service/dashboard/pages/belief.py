"""What `auto` predicts of the mixture to train, and how far it goes by which surrogate."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from scipy.special import ndtr

from service.context import Service, StudyName
from service.dashboard import dependencies, fit_words
from service.dashboard.dependencies import HistoryCache, guarded
from service.dashboard.rendering import piece
from service.errors import NoFit
from service.fitting.records import VerdictRecord
from service.schemas import Score, StudySpec
from service.search.situation import sign_of

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
def panels(
    study: StudyName, service: Service, histories: HistoryCache, only_made: bool = False
) -> dict[str, str]:
    """Both panels as HTML; empty while there are too few runs to judge by, or too many to fit, or
    with `only_made` where it would have to be fitted first."""
    try:
        known = dependencies.fittable_evidence(service, histories, study)
        verdict = None
        if len(known.completed) >= fit_words.needed(known.spec):
            verdict = service.fits.verdict(known, only_made=only_made)
    except NoFit:
        verdict = None
    if verdict is None:
        return {"belief": "", "trust": ""}
    belief = _belief(known.spec, verdict)
    shown = {"belief": belief, "titles": fit_words.TITLES, "n": len(known.completed)}
    return {"belief": piece("_belief.html", **shown), "trust": piece("_trust.html", **shown)}


def _belief(spec: StudySpec, verdict: VerdictRecord) -> Belief:
    belief = verdict.compared.posterior()
    more, sd = belief.difference()
    gain, sd = sign_of(spec.objective.direction) * more, max(sd, 1e-6)
    return Belief(
        shares=verdict.shares,
        densities=verdict.densities,
        score=Score(value=float(belief.mean[0]), se=float(belief.sd[0])),
        gain=Score(value=gain, se=sd),
        probability=float(ndtr(gain / sd)),
    )
