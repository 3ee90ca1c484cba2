"""Columns that the trials of a study can be shown with, and how the database sorts by each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.sql.expression import SQLColumnExpression

from db import cost, models
from db.models import Measurement, Trial
from service.dashboard.charts.figure import objective_label
from service.notation import columns as columns_of_runs
from service.schemas import StudySpec
from service.search.runs import SCHEDULED
from service.study import export_columns, origins

UNASKED = 40
"""Domains, and benchmarks, up to which each has a column unless columns are chosen: with 64 and 256
a page would be megabytes. The mixture's bar has all domains."""

WEIGHT, SCORE = "w_", "s_"
"""Before the names of domains and benchmarks, in the keys of their columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table.

    Attributes:
        kind: how its cells are shown: the template has a case for each.
        head: its name in a file, that of an export where that has the column too.
        by: what rows are sorted by; None where they cannot be.
        is_usual: shown unless columns are chosen.
        name: of the domain or benchmark it is about; else empty.
        place: of that domain in the study.
    """

    key: str
    title: str
    head: str
    kind: str
    by: SQLColumnExpression[Any] | None
    is_usual: bool = True
    name: str = ""
    place: int = 0

    @property
    def is_number(self) -> bool:
        return self.kind in ("number", "score", "benchmark", "weight", "hours", "duration")


def columns(spec: StudySpec) -> list[Column]:
    """All columns that a study's trials can be shown with."""
    names = [domain.name for domain in spec.domains]
    strategy = Trial.proposal["strategy"].as_string()
    objective = spec.objective.name
    found = [
        Column("trial", "Trial", "trial", "trial", Trial.number),
        Column("state", "State", "state", "state", Trial.state),
        Column(
            "objective", objective_label(spec), objective, "score", _mean(spec.objective_weights())
        ),
        Column("mixture", "Mixture", "", "mixture", None),
        Column("origin", "Origin", "origin", "origin", origins.column()),
        Column("gpu_hours", "GPU-hours", "gpu_hours", "hours", cost.OF_TRIAL),
        Column("channel", "Channel", "channel", "text", _channel()),
        Column("finished", "Finished", "finished_at", "moment", Trial.finished_at),
    ]
    n_before = len(found)
    found += [
        Column(
            WEIGHT + name,
            name,
            columns_of_runs.WEIGHT + name,
            "weight",
            _weight(name),
            len(names) <= UNASKED,
            name,
            place,
        )
        for place, name in enumerate(names)
    ]
    heads = export_columns.benchmark_heads(spec)
    found += [
        Column(
            SCORE + b.name,
            b.name,
            head,
            "benchmark",
            _last(b.name),
            len(spec.benchmarks) <= UNASKED,
            b.name,
        )
        for b, head in zip(spec.benchmarks, heads, strict=True)
    ]
    for key, title, group in (("in_score", "In-Score", "in"), ("out_score", "Out-Score", "out")):
        weights = spec.group_weights(group)  # type: ignore[arg-type]
        if weights and objective != key:
            found.insert(n_before, Column(key, title, key, "score", _mean(weights), False))
    found += [
        Column("wall_s", "Took", "wall_s", "duration", Trial.wall_s, False),
        Column("created", "Created", "created_at", "moment", Trial.created_at, False),
        Column("strategy", "Strategy", "strategy", "text", strategy, False),
        Column("same", "Same mixture", "same_as", "same", None, False),
        Column("worker", "Worker", "worker", "text", _worker(), False),
        Column("tags", "Tags", "tags", "tags", func.nullif(Trial.tags, "")),
        Column("note", "Note or error", "note", "note", func.coalesce(Trial.error, Trial.note)),
    ]
    return found


def _channel() -> SQLColumnExpression[Any]:
    return case((Trial.schedule.is_not(None), SCHEDULED), else_=Trial.channel)


def _weight(domain: str) -> SQLColumnExpression[Any]:
    return func.coalesce(Trial.mixture[domain].as_float(), 0.0)


def _worker() -> SQLColumnExpression[Any]:
    newest = (models.Attempt.trial_id == Trial.id) & (models.Attempt.number == Trial.attempt_number)
    return select(models.Attempt.worker).where(newest).correlate(Trial).scalar_subquery()


def _last(benchmark: str) -> SQLColumnExpression[Any]:
    """The score of a benchmark that counts; NULL where it was not measured."""
    return (
        select(Measurement.score)
        .where(
            Measurement.trial_id == Trial.id,
            Measurement.replicate == "",
            Measurement.benchmark == benchmark,
            Measurement.rule == "paper",
            Measurement.is_superseded.is_(False),
        )
        .order_by(Measurement.step.desc())
        .limit(1)
        .correlate(Trial)
        .scalar_subquery()
    )


def _mean(weights: Mapping[str, float]) -> SQLColumnExpression[Any]:
    """The weighted mean of benchmarks; NULL where one of them is missing."""
    total = sum(weights.values())
    (first, share), *rest = weights.items()
    found: SQLColumnExpression[Any] = _last(first) * (share / total)
    for name, weight in rest:
        found = found + _last(name) * (weight / total)
    return found
