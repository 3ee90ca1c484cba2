"""Every figure of a study at once: what the pages draw, to be kept as files."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter

from db import studies
from db.sessions import Database
from service.context import Service, StudyName
from service.dashboard import dependencies, fit_words, words
from service.dashboard.charts import benchmarks as benchmark_charts
from service.dashboard.charts import curves as curve_charts
from service.dashboard.charts import effects as effect_charts
from service.dashboard.charts import fits as fit_charts
from service.dashboard.charts import legibility
from service.dashboard.charts import mixtures as mixture_charts
from service.dashboard.charts import progress as progress_charts
from service.dashboard.charts.figure import Figure, objective_label
from service.dashboard.pages import benchmarks, surfaces
from service.dashboard.pages.mixtures import heaviest
from service.dashboard.queries import boards, mixtures, progress
from service.dashboard.queries.history import Histories
from service.errors import NoFit
from service.fitting import effects
from service.fitting.fits import Fits
from service.http.guards import by_method, route_behind
from service.http.problems import describe
from service.schemas import Study, StudyFigure, StudyFigures
from service.study import evidence
from service.study.evidence import Evidence

NO_RUN = "No run is completed yet."

router = APIRouter(prefix="/studies", tags=["studies"], route_class=route_behind(by_method))


@router.get(
    "/{study}/figures", summary="The dashboard's charts of a study", responses=describe(404)
)
def every_figure(study: StudyName, service: Service) -> StudyFigures:
    """All of them as Plotly JSON, for files. Fits all surrogates: with many runs it takes long."""
    return of(service.database, service.fits, Histories(), study)


def of(database: Database, fits: Fits, histories: Histories, name: str) -> StudyFigures:
    """All figures of a study, and in words why others are not among them.

    Raises:
        StudyNotFound: there is none of this name.
    """
    with database.read() as session:
        row = studies.get(session, name)
        board = boards.board(session, row, histories)
        items = mixtures.read(session, row, board.history)
        told = progress.read(session, row, board.study, "trial")
        known = evidence.read(session, row)
        objective = known.spec.objective.name
        paths = benchmarks.over_steps(session, known, objective)
    if not board.history.runs:
        return StudyFigures(study=board.study, figures=[], left_out=[NO_RUN])
    found = [
        StudyFigure(
            name="progress",
            title=f"{objective_label(board.study)} of every completed run",
            about="With 95% intervals from the sampling of test items; the best of many is "
            "partly chance.",
            figure=progress_charts.progress(board.study, board.history, told),
        ),
        *_mixtures(board, items),
        *_benchmarks(known),
    ]
    if paths is not None:
        label = objective_label(board.study)
        about = f"The {curve_charts.RUNS} best runs that were scored during training."
        title = f"{label} over training steps"
        found.append(StudyFigure(name="steps", title=title, about=about, figure=paths))
    n_runs = len(board.history.runs)
    if n_runs > dependencies.FITTED_AT_ALL:
        too_many = fit_words.too_many(n_runs, dependencies.FITTED_AT_ALL)
        return StudyFigures(study=board.study, figures=found, left_out=[too_many])
    left_out: list[str] = []
    for surrogate in fit_words.TITLES:
        try:
            found += _surrogate(fits, known, surrogate)
        except NoFit as refused:
            left_out.append(f"{fit_words.TITLES[surrogate]}: {refused.detail}")
    return StudyFigures(study=board.study, figures=found, left_out=left_out)


def _mixtures(board: boards.Board, items: list[mixtures.Item]) -> Iterator[StudyFigure]:
    study: Study = board.study
    drawn = mixture_charts.dots(study, items)
    about = f"{words.count(len(board.history.runs), 'completed run')}, coloured by score."
    yield StudyFigure(
        name="mixtures",
        title="Weight of every domain in each run",
        about=f"{about} {legibility.lines_trouble(study, drawn)}".strip(),
        figure=mixture_charts.parallel(study, drawn),
    )
    mapped = mixture_charts.distance_map(study, drawn)
    if mapped is not None:
        yield StudyFigure(
            name="mixtures-map",
            title="Mixtures by their distance",
            about=f"{mixture_charts.map_aid(mapped)} {legibility.map_trouble(mapped)}".strip(),
            figure=mapped,
        )
    best = board.history.best
    corners = heaviest(study, best.mixture if best else {})
    if corners:
        yield StudyFigure(
            name="mixtures-triangle",
            title=f"Runs between {', '.join(corners)}",
            about=f"{about} The place is how the three share what they have together, the size how "
            "much that is.",
            figure=mixture_charts.ternary(study, drawn, corners),
        )


def _benchmarks(known: Evidence) -> Iterator[StudyFigure]:
    choices = benchmarks.titles(known.spec)
    x, y = next(iter(choices)), list(choices)[:2][-1]
    drawn = benchmarks.compared(known, x, y)
    if drawn is None:
        return
    yield StudyFigure(
        name="benchmarks",
        title="The best runs on every benchmark",
        about=f"At most {benchmark_charts.ROWS} runs, best on top; blue is above the median of "
        "all completed runs, orange below.",
        figure=drawn.heat,
    )
    if drawn.trade is not None:
        yield StudyFigure(
            name="trade-off",
            title=f"{choices[x]} against {choices[y]}",
            about="Of every run, with 95% intervals. On the front are the runs that no other beats "
            "on one score without losing on the other.",
            figure=drawn.trade,
        )


ABOUT = {
    "loo": ("predicted against actual", ""),
    "alone": ("each domain alone", "Predicted, with 95% intervals."),
    "synergy": ("synergy of pairs", ""),
    "slices": (
        "slices through the mixture to train",
        "One domain's weight grows along each curve and the others share the rest as in the "
        "mixture to train (the dot). Bands are 95% intervals of the noise-free score.",
    ),
    "effects": (
        "what matters",
        "What 10 points more of each domain change, the others giving them up in proportion, "
        "starting at the mixture to train, with 95% intervals; the greatest on top. Hollow: the "
        "study allows less, which is counted up to 10.",
    ),
    "residuals": (
        "residuals by trial",
        "Each run against its prediction from all the others; bars are 95% intervals.",
    ),
    "mean": (
        "prediction between three domains",
        "The others keep what they have in the mixture to train.",
    ),
    "sd": ("half-width of its 95% interval there", "In points."),
}
"""Title, and how to read it, of each of a surrogate's figures."""


def _surrogate(fits: Fits, known: Evidence, surrogate: str) -> Iterator[StudyFigure]:
    fit = fits.fit(known, surrogate).record.fit
    best = known.train_this()
    if best is None or not fit.points:
        raise NoFit("too-few-results", fit_words.too_few(known.spec, fit) or NO_RUN)
    drawn: dict[str, Figure] = fit_charts.of_fit(known.spec, fit)
    if surrogate in dependencies.SIDE_BY_SIDE:
        corners = heaviest(known.spec, best.mixture)
        drawn |= surfaces.around(fits, known, fit, best.mixture, corners)
    if surrogate == effects.BY:
        told = effects.answer(fits, known, surrogate, [])
        if told.objective:
            label = objective_label(known.spec)
            drawn["effects"] = effect_charts.ranked(known.spec, told, "", label)
    aids = {"loo": fit_words.reading_aid(fit), "synergy": fit_words.synergy_aid(fit)}
    for name, figure in drawn.items():
        title, about = ABOUT[name]
        yield StudyFigure(
            name=f"{surrogate}-{name}",
            title=f"{fit_words.TITLES[surrogate]}: {title}",
            about=aids.get(name, about),
            figure=figure,
        )
