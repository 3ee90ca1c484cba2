"""Benchmarks: which runs are good at what, and what one score costs another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import models
from service.context import Service, StudyName
from service.dashboard.charts import benchmarks as benchmark_charts
from service.dashboard.charts import curves as curve_charts
from service.dashboard.charts.benchmarks import Scored
from service.dashboard.charts.figure import Figure, objective_label
from service.dashboard.dependencies import StudyBoard, guarded
from service.dashboard.navigation import StudyLink
from service.dashboard.rendering import piece, render
from service.errors import invalid
from service.schemas import Measurement, Name, Score, StudySpec, last_measurements
from service.search.situation import sign_of
from service.study import evidence, headline, views
from service.study.evidence import Evidence
from service.study.runs import MeasuredRun

LINK = StudyLink("benchmarks", "Benchmarks")
router = APIRouter(prefix="/ui/studies/{study}/benchmarks", include_in_schema=False)


@router.get("", dependencies=guarded)
def page(request: Request, board: StudyBoard) -> HTMLResponse:
    """The page with its controls; charts are fetched by it."""
    choices = titles(board.study)
    return render(
        request,
        "benchmarks.html",
        board=board,
        study=board.study,
        choices=choices,
        first=list(choices)[:2],
        most_rows=benchmark_charts.ROWS,
        most_paths=curve_charts.RUNS,
        crowded=len(board.history.runs) > benchmark_charts.BARRED,
    )


@router.get("/figures", dependencies=guarded)
def drawn(
    study: StudyName,
    service: Service,
    x: Annotated[Name | None, Query()] = None,
    y: Annotated[Name | None, Query()] = None,
    path: Annotated[Name | None, Query()] = None,
) -> dict[str, Any]:
    """All charts and the runs of the front; None while there is no completed run."""
    with service.database.read() as session:
        known = evidence.named(session, study)
        choices = titles(known.spec)
        chosen = path or known.spec.objective.name
        paths = over_steps(session, known, chosen) if chosen in choices else None
    spec = known.spec
    for name in (x, y, path):
        if name is not None and name not in choices:
            raise invalid(f"no score {name!r} in study {study!r}; it has {', '.join(choices)}")
    x, y = x or next(iter(choices)), y or list(choices)[:2][-1]
    found = compared(known, x, y)
    if found is None:
        return {"heat": None, "trade": None, "paths": None, "front": ""}
    axes = ((x, choices[x]), (y, choices[y]))
    html = piece("_front.html", study=spec, front=found.front, n=len(known.completed), axes=axes)
    return {"heat": found.heat, "trade": found.trade, "paths": paths, "front": html}


@dataclass(frozen=True, slots=True)
class Compared:
    """Both charts, and the runs of the front; `trade` is None where no run has both scores."""

    heat: Figure
    trade: Figure | None
    front: list[Scored]


def compared(known: Evidence, x: str, y: str) -> Compared | None:
    """Two of the scores in `titles` against each other; None while there is no completed run."""
    runs = scored(known)
    if not runs:
        return None
    choices = titles(known.spec)
    is_maximized = sign_of(known.spec.objective.direction) > 0
    front = benchmark_charts.front(runs, x, y, is_maximized=is_maximized)
    axes = ((x, choices[x]), (y, choices[y]))
    base = _base(known.spec)
    trade = benchmark_charts.trade_off(runs, front, base, axes) if front else None
    return Compared(benchmark_charts.heat_map(runs, choices, base), trade, front)


def titles(study: StudySpec) -> dict[str, str]:
    """What can be compared: the sums first, then each benchmark; by name, with its title."""
    groups = {benchmark.group for benchmark in study.benchmarks}
    sums = {"in_score": "In-Score", "out_score": "Out-Score"}
    found = {name: title for name, title in sums.items() if name.partition("_")[0] in groups}
    if study.objective.name not in sums:
        found[study.objective.name] = objective_label(study)
    return found | {benchmark.name: benchmark.name for benchmark in study.benchmarks}


def scored(known: Evidence) -> list[Scored]:
    """The completed runs, best objective first."""
    ranked = _best_first(known)
    found = []
    for run in ranked:
        scores = {
            name: Score(value=item.score, se=item.sampling_error())
            for name, item in run.benchmarks.items()
        }
        sums = {
            "in_score": run.scores.in_score,
            "out_score": run.scores.out_score,
            known.spec.objective.name: run.score,
        }
        scores |= {name: score for name, score in sums.items() if score is not None}
        is_equal = headline.is_uniform(run.mixture, known.spec.dropped)
        is_uniform = is_equal and not run.schedule
        found.append(Scored(run.number, scores, is_uniform))
    return found


def _best_first(known: Evidence) -> list[MeasuredRun]:
    sign = sign_of(known.spec.objective.direction)
    return sorted(known.completed, key=lambda run: -sign * run.score.value)


def over_steps(session: Session, known: Evidence, name: str) -> Figure | None:
    """How the best runs came to one of the scores in `titles`; None with one step each."""
    spec = known.spec
    best = _best_first(known)[: curve_charts.RUNS]
    by_step: dict[int, dict[int, list[Measurement]]] = defaultdict(lambda: defaultdict(list))
    rows = session.scalars(
        select(models.Measurement)
        .where(
            models.Measurement.trial_id.in_([run.id for run in best]),
            models.Measurement.replicate == "",
            models.Measurement.is_superseded.is_(False),
            models.Measurement.rule == "paper",
        )
        .order_by(models.Measurement.id)
    )
    for row in rows:
        by_step[row.trial_id][row.step].append(views.measurement(row))
    paths = [
        curve_charts.path(
            run.number, {step: _at(spec, found, name) for step, found in by_step[run.id].items()}
        )
        for run in best
    ]
    base = _base(spec).get(name)
    return curve_charts.over_steps(paths, titles(spec)[name], base=base)


def _at(spec: StudySpec, measured: Sequence[Measurement], name: str) -> Score | None:
    """One of the scores in `titles` from the measurements of one step."""
    sums = spec.scores(measured)
    whole = {"in_score": sums.in_score, "out_score": sums.out_score}
    if name == spec.objective.name:
        return sums.objective
    if name in whole:
        return whole[name]
    found = last_measurements(measured).get(name)
    return None if found is None else Score(value=found.score, se=found.sampling_error())


def _base(study: StudySpec) -> dict[str, Score]:
    found = {
        name: Score(value=item.score, se=item.sampling_error())
        for name, item in last_measurements(study.baseline).items()
    }
    sums = study.scores(study.baseline)
    whole = {
        "in_score": sums.in_score,
        "out_score": sums.out_score,
        study.objective.name: sums.objective,
    }
    return found | {name: score for name, score in whole.items() if score is not None}
