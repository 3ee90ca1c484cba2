"""What would a mixture score? Sliders, predictions, and a place in the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import Field

from db import studies
from service.context import Actor, Context, Service, StudyName
from service.dashboard import dependencies, fit_words, words
from service.dashboard.dependencies import GuardedRoute, HistoryCache, StudyBoard, acting, asking
from service.dashboard.navigation import StudyLink
from service.dashboard.queries.history import History
from service.dashboard.rendering import piece, render
from service.errors import NoFit, Refused
from service.fitting import effects
from service.fitting.best import BEST_BY
from service.fitting.best import best as best_answer
from service.fitting.fits import Predicted
from service.routes import trials as calls
from service.schemas import (
    BenchmarkSpec,
    Body,
    Name,
    Score,
    StudySpec,
    TrialCreate,
)
from service.search.space import FloatArray, MixtureSpace
from service.study import engine_terms, headline, schedules, views
from service.study.evidence import Evidence
from service.study.runs import MeasuredRun

LINK = StudyLink("what-if", "What if")
router = APIRouter(
    prefix="/ui/studies/{study}/what-if", include_in_schema=False, route_class=GuardedRoute
)

TOLERANCE = 5e-4
"""How far weights may be moved before the page says so: half of the least step of a slider."""

SideBySide = Literal["bayes-quadratic", "gp"]


class SliderWeights(Body):
    """Weights as the sliders stand; they need not fit the study."""

    weights: dict[Name, Annotated[float, Field(ge=0.0, le=1.0)]]


class ChosenMixture(Body):
    """A mixture of the study, as `/feasible` answered it."""

    mixture: dict[Name, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """Where scores lie on a strip from 0 to 1 that shows those of all runs with room around."""

    low: float
    high: float

    @classmethod
    def of(cls, history: History) -> Scale:
        """The same whatever is predicted, so that surrogates and mixtures can be compared."""
        return cls.around([run.score.value for run in history.runs])

    @classmethod
    def of_benchmarks(cls, known: Evidence) -> Scale:
        """That of all benchmarks together."""
        return cls.around(
            [item.score for run in known.completed for item in run.benchmarks.values()]
        )

    @classmethod
    def around(cls, values: Sequence[float]) -> Scale:
        low, high = min(values, default=0.0), max(values, default=1.0)
        room = max(0.5 * (high - low), 0.02)
        return cls(max(0.0, low - room), min(1.0, high + room))

    def place(self, value: float) -> float:
        """In percent of the strip's length, within it."""
        return 100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


@router.get("")
def page(
    request: Request,
    board: StudyBoard,
    service: Service,
    trial: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
) -> HTMLResponse:
    """Starts at a trial's mixture, else at the mixture to train, else at the most even one; its
    phases likewise."""
    space, best = engine_terms.space(board.study), board.history.best
    resets = {"Uniform": space.named(space.uniform)}
    if best is not None:
        title = "Mean of the schedule to train" if best.schedule else "Mixture to train"
        resets = {title: best.mixture} | resets
    start = next(iter(resets.values()))
    stored = best.schedule if best is not None else ()
    if trial is not None:
        shown = dependencies.story(board.study.name, trial, service).trial
        start, stored = shown.mixture, [phase.model_dump() for phase in shown.schedule or ()]
    return render(
        request,
        "what_if.html",
        board=board,
        study=board.study,
        start=start,
        resets=resets,
        phases=first_phases(board.study, start, stored),
        surrogates={name: fit_words.TITLES[name] for name in dependencies.SIDE_BY_SIDE},
        fits_at_once=len(board.history.runs) <= dependencies.fitted_unasked(service),
        most_runs=dependencies.FITTED_AT_ALL,
    )


def first_phases(
    spec: StudySpec, mixture: dict[str, float], stored: engine_terms.Schedule
) -> list[dict[str, Any]]:
    """Share and mixture of each phase that the search proposes; none where it proposes mixtures."""
    if spec.search.schedule is None:
        return []
    if schedules.is_searched(spec, stored):
        return [dict(phase) for phase in stored]
    return [{"share": share, "mixture": mixture} for share in spec.search.schedule.of_each]


@router.post("/feasible", dependencies=asking)
def feasible(study: StudyName, body: SliderWeights, service: Service) -> dict[str, Any]:
    """The nearest mixture that the study may run, and why it is another than was asked for."""
    with service.database.read() as session:
        spec = views.spec(studies.get(session, study))
    wished = engine_terms.weights(spec, [body.weights])[0]
    space = engine_terms.space(spec)
    found = space.project(wished)
    mixture = space.named(found)
    moved = float(np.abs(found - wished).max()) > TOLERANCE
    why = why_moved(space, wished) if moved else []
    html = piece("_chosen.html", study=spec, mixture=mixture, why=why)
    return {"mixture": mixture, "html": html}


@router.post("/predicted-best", dependencies=asking)
def predicted_best(
    study: StudyName, service: Service, histories: HistoryCache
) -> dict[str, dict[str, float]]:
    """The mixture that `auto` expects most of.

    Raises:
        Refused: it cannot be fitted.
    """
    dependencies.fittable_evidence(service, histories, study)
    found = best_answer(service.database, service.fits, study, BEST_BY)
    if found.predicted is None:
        raise NoFit("too-few-results", found.message)
    return {"mixture": found.predicted.weights}


@router.post("/predictions/{surrogate}", dependencies=asking)
def prediction(
    study: StudyName, surrogate: str, body: ChosenMixture, service: Service, histories: HistoryCache
) -> dict[str, str]:
    """What one surrogate expects of a mixture; why it expects nothing, in words."""
    try:
        known = dependencies.fittable_evidence(service, histories, study)
        X = engine_terms.weights(known.spec, [known.spec.mixture(body.mixture)])
        mean, sd = (float(part[0]) for part in service.fits.predict(known, surrogate, X))
        gain, _ = service.fits.differences(known, surrogate, {}, X, _uniform(known))
    except NoFit as refused:
        return {"html": piece("_prediction.html", trouble=refused.detail)}
    except ValueError as error:
        raise Refused("invalid-request", str(error)) from error
    with service.database.read() as session:
        history = histories.of(session, studies.get(session, study), known.spec)
    return {
        "html": piece(
            "_prediction.html",
            trouble=None,
            mean=mean,
            sd=sd,
            gain=_first(gain),
            over_mean=None,
            history=history,
            scale=Scale.of(history),
        )
    }


@dataclass(frozen=True, slots=True)
class Expected:
    """What is predicted of a mixture on one benchmark.

    Attributes:
        gain: how much more that is than what is predicted of equal weights.
        best: what the mixture to train scored there.
    """

    benchmark: BenchmarkSpec
    mean: float
    sd: float
    gain: Score
    best: Score | None


@router.post("/benchmarks/{surrogate}", dependencies=asking)
def each(
    study: StudyName,
    surrogate: SideBySide,
    body: ChosenMixture,
    service: Service,
    histories: HistoryCache,
) -> dict[str, str]:
    """What one surrogate expects on every benchmark that was measured; empty with too few runs."""
    try:
        known = dependencies.fittable_evidence(service, histories, study)
        X = engine_terms.weights(known.spec, [known.spec.mixture(body.mixture)])
        found = expected(service, known, surrogate, X, _uniform(known))
    except NoFit:
        return {"html": ""}
    except ValueError as error:
        raise Refused("invalid-request", str(error)) from error
    scale = Scale.of_benchmarks(known)
    return {
        "html": piece("_expected.html", surrogate=surrogate, expected=found, scale=scale)
        if found
        else ""
    }


def expected(
    service: Context, known: Evidence, surrogate: str, X: FloatArray, uniform: FloatArray
) -> list[Expected]:
    """On every benchmark that was measured, of a mixture (1, m) or of a schedule (1, P m); equal
    weights in the same form."""
    runs = effects.measured(known)
    best = known.train_this()
    if best is None or not runs:
        return []
    found = service.fits.predict_each(known, surrogate, runs, X)
    _, gains = service.fits.differences(known, surrogate, runs, X, uniform)
    return [
        Expected(
            benchmark=benchmark,
            mean=float(found[benchmark.name][0][0]),
            sd=float(found[benchmark.name][1][0]),
            gain=_first(gains[benchmark.name]),
            best=_mean_on(best.runs, benchmark.name),
        )
        for benchmark in known.spec.benchmarks
        if benchmark.name in found
    ]


def _uniform(known: Evidence) -> FloatArray:
    """(1, m) equal weights."""
    return engine_terms.weights(known.spec, [known.uniform])


def _first(found: Predicted) -> Score:
    mean, sd = found
    return Score(value=float(mean[0]), se=float(sd[0]))


def _mean_on(runs: Sequence[MeasuredRun], benchmark: str) -> Score | None:
    measured = [run.benchmarks[benchmark] for run in runs if benchmark in run.benchmarks]
    if not measured:
        return None
    return headline.mean([Score(value=m.score, se=m.sampling_error()) for m in measured])


@router.post("/queue", dependencies=acting)
def queue(study: StudyName, body: ChosenMixture, service: Service, actor: Actor) -> dict[str, int]:
    """Queues the mixture as if by hand."""
    trial = calls.add(study, TrialCreate(mixture=body.mixture), service, actor, Response())
    return {"number": trial.number}


def why_moved(space: MixtureSpace, wished: FloatArray) -> list[str]:
    found = [
        f"{domain} may have {words.share(low)} to {words.share(high)}"
        for domain, weight, low, high in zip(
            space.domains, wished, space.lower, space.upper, strict=True
        )
        if not low - TOLERANCE <= weight <= high + TOLERANCE
    ]
    return found + space.broken_by(wished)
