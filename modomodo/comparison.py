"""`modomodo study compare`: studies side by side in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import BaseModel
from rich import box
from rich.markup import escape
from rich.table import Table

from modomodo.summary import score_text
from service.client import Client, ServiceError
from service.schemas import BestAnswer, Study, StudyCost, SurrogateFit, TrainThis
from service.search.intervals import Z95
from service.study import points
from service.study.headline import trials

LEAST, MOST = 2, 5
FITTED_BY = "auto"


class Compared(BaseModel):
    """A study as the service tells of it; `fit` is None while there are too few runs."""

    study: Study
    best: BestAnswer
    cost: StudyCost
    fit: SurrogateFit | None


def read(client: Client, name: str) -> Compared:
    """All of a study that is compared.

    Raises:
        ServiceError: there is no such study, or it cannot be read.
    """
    study, best, cost = client.study(name), client.best(name), client.cost(name)
    try:
        fit = client.surrogate(name, FITTED_BY)
    except ServiceError as refused:
        if refused.code not in ("too-few-results", "too-many-results"):
            raise
        fit = None
    return Compared(study=study, best=best, cost=cost, fit=fit)


def table(found: Sequence[Compared]) -> Table:
    """A column a study; scores in points of 100 with 95% intervals, weights in percent."""
    made = Table("", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for one in found:
        made.add_column(escape(one.study.name), overflow="fold")
    for title, cells in (
        ("state", [one.study.state for one in found]),
        ("strategy", [escape(one.study.strategy) for one in found]),
        ("runs done", [f"{one.study.n_done:,} of {one.study.planned:,}" for one in found]),
        ("GPU-hours", [f"{one.cost.used:,.3g}" for one in found]),
        ("objective", [escape(one.study.objective.name) for one in found]),
        ("train this", [_of(one, lambda t: trials(t.trials)) for one in found]),
        ("score", [_of(one, lambda t: score_text(t.score)) for one in found]),
        ("over uniform", [_of(one, _gain) for one in found]),
        (f"{FITTED_BY} predicts", [_of(one, _predicted) for one in found]),
        ("R² left out", [_r2(one.fit) for one in found]),
        ("inside 95%", [_inside(one.fit) for one in found]),
    ):
        made.add_row(title, *cells)
    domains = dict.fromkeys(domain.name for one in found for domain in one.study.domains)
    for domain in domains:
        made.add_row(escape(domain), *(_weight(one, domain) for one in found))
    return made


NONE = "-"


def _of(one: Compared, said: Callable[[TrainThis], str]) -> str:
    """What is said of the mixture to train, where there is one."""
    return NONE if one.best.train is None else said(one.best.train)


def _gain(train: TrainThis) -> str:
    return NONE if train.gain is None else points.signed(train.gain.value, train.gain.se)


def _predicted(train: TrainThis) -> str:
    expected = train.predicted
    return NONE if expected is None else points.score(expected.mean, expected.sd)


def _r2(fit: SurrogateFit | None) -> str:
    return NONE if fit is None or fit.loo.r2 is None else f"{fit.loo.r2:.2f}"


def _inside(fit: SurrogateFit | None) -> str:
    """How many runs lie inside the 95% intervals of their predictions."""
    if fit is None or not fit.points:
        return NONE
    inside = sum(abs(point.actual - point.mean) <= Z95 * point.sd for point in fit.points)
    return f"{inside} of {len(fit.points)}"


def _weight(one: Compared, domain: str) -> str:
    if domain not in {known.name for known in one.study.domains}:
        return "not in it"
    return _of(one, lambda train: f"{100 * train.mixture.get(domain, 0.0):.0f}%")
