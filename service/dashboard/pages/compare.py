"""Two to five studies side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from db import cost, studies
from db.errors import StudyNotFound
from service.context import Context, Service
from service.dashboard import dependencies, fit_words
from service.dashboard.charts import comparison
from service.dashboard.charts.comparison import Along, Searched
from service.dashboard.charts.figure import objective_label
from service.dashboard.dependencies import HistoryCache, NoPage, guarded
from service.dashboard.queries import boards
from service.dashboard.queries.boards import Board
from service.dashboard.queries.history import Histories
from service.dashboard.rendering import piece, render
from service.errors import NoFit, invalid
from service.schemas import Name, SurrogateFit

LEAST, MOST = 2, 5
SHOWN = 16
"""Domains that are told one by one; all are in the bars."""
EFFECTS_BY = "bayes-quadratic"
"""Whose effects are compared: it is fitted in a second, and knows how sure it is."""

router = APIRouter(include_in_schema=False)

Names = Annotated[list[Name], Query(alias="study", max_length=100)]


@dataclass(frozen=True, slots=True)
class Side:
    """A study that is compared.

    `weights` are those of its mixture to train; empty before the first run.
    """

    board: Board
    searched: Searched

    @property
    def weights(self) -> dict[str, float]:
        best = self.board.history.best
        return {} if best is None else best.mixture


@router.get("/compare", dependencies=guarded)
def page(
    request: Request,
    service: Service,
    histories: HistoryCache,
    names: Names = [],  # noqa: B006 - FastAPI copies it
    by: Along = "run",
) -> HTMLResponse:
    """Their figures; charts are fetched by the page. With fewer than two it asks for more."""
    sides = _sides(service, histories, names)
    with service.database.read() as session:
        every = [row.name for row in studies.everyone(session)]
    n_runs = [len(side.board.history.runs) for side in sides]
    return render(
        request,
        "compare.html",
        sides=sides,
        domains=_domains(sides),
        heaviest=_heaviest(sides) if sides else [],
        labels=sorted({objective_label(side.board.study) for side in sides}),
        others=[name for name in every if name not in {side.board.study.name for side in sides}],
        by=by,
        along=comparison.TITLES,
        least=LEAST,
        most=MOST,
        fits_at_once=max(n_runs, default=0) <= dependencies.fitted_unasked(service),
    )


@router.get("/ui/compare/progress", dependencies=guarded)
def progress(
    service: Service, histories: HistoryCache, names: Names, by: Along = "run"
) -> dict[str, Any]:
    """The chart of the best mixture so far in each."""
    sides = _sides(service, histories, names)
    label = objective_label(sides[0].board.study) if sides else ""
    return {"figure": comparison.best_so_far([side.searched for side in sides], label, by)}


@router.get("/ui/compare/fits", dependencies=guarded)
def fits(service: Service, histories: HistoryCache, names: Names) -> dict[str, Any]:
    """What a surrogate has learned in each, as a chart, and how far to trust it, as a table."""
    sides = _sides(service, histories, names)
    found: list[tuple[str, SurrogateFit | None, str]] = []
    for side in sides:
        name = side.board.study.name
        try:
            evidence = dependencies.fittable_evidence(service, histories, name)
            fit = service.fits.fit(evidence, EFFECTS_BY).record.fit
            found.append((name, fit, fit_words.too_few(evidence.spec, fit) or ""))
        except NoFit as refused:
            found.append((name, None, refused.detail))
    effects = [
        fit.effects.alone if fit is not None and fit.points and fit.effects else {}
        for _, fit, _ in found
    ]
    figure = None
    if any(effects):
        label = objective_label(sides[0].board.study)
        figure = comparison.alone(effects, [n for n, _, _ in found], _heaviest(sides), label)
    return {"figure": figure, "html": piece("_compared_fits.html", found=found)}


def _sides(service: Context, histories: Histories, names: Sequence[str]) -> list[Side]:
    """The studies of these names, each once.

    Raises:
        NoPage: there is none of a name.
        Refused: there are too many.
    """
    wanted = list(dict.fromkeys(names))
    if len(wanted) > MOST:
        raise invalid(f"{MOST} studies are compared at most, not {len(wanted)}")
    sides = []
    with service.database.read() as session:
        for name in wanted:
            try:
                row = studies.get(session, name)
            except StudyNotFound as error:
                raise NoPage(name) from error
            board = boards.board(session, row, histories)
            hours = cost.by_trial(session, row.id)
            sides.append(Side(board, Searched(name, board.history, hours)))
    return sides


def _domains(sides: Sequence[Side]) -> list[str]:
    """Of all of them, in the order of the first study that has each."""
    return list(dict.fromkeys(domain for side in sides for domain in side.board.domains))


def _heaviest(sides: Sequence[Side]) -> list[str]:
    """At most `SHOWN` of them, with most weight in some mixture to train, in the same order."""
    every = _domains(sides)

    def heaviest(domain: str) -> float:
        return max(side.weights.get(domain, 0.0) for side in sides)

    kept = set(sorted(every, key=heaviest, reverse=True)[:SHOWN])
    return [domain for domain in every if domain in kept]
