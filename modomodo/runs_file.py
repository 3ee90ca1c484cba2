"""Mixtures and scores from a CSV file: weight columns `w_<domain>`, those of phases as
`modomodo.phase_columns` tells, any other number a score."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modomodo import channels, phase_columns, tables
from modomodo.errors import CommandFailed
from service.notation import numbers
from service.notation.columns import WEIGHT
from service.notation.table_text import Table
from service.search.runs import Runs
from service.search.space import FloatArray

SUM_TOLERANCE = 1e-3
"""Weights written with few digits may be off by this share; they are normalised."""
LEAST = -1e-9
"""A weight that arithmetic left below zero by no more is zero."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the user says of a file's weights.

    Attributes:
        weights: names of the weight columns, for files in which they do not begin with `w_`.
        normalise: rows need not sum to 1.
        shares: what part of the steps each phase of a run has, where schedules are asked for.
    """

    weights: tuple[str, ...] = ()
    normalise: bool = False
    shares: tuple[float, ...] = ()


AS_IT_IS = Layout()


@dataclass(frozen=True, eq=False)
class RunsFile:
    """A read file.

    Attributes:
        domains: in the order of their columns, or as they were named.
        weights: (n, m), each row normalised; of a run that changed its mixture, the mean.
        columns: those that are not weights.
        shares: (P,) what part of the steps each phase of a run has; none in a file of mixtures.
        phases: (n, P, m) weights of each phase, all alike in a run that did not change.
        has_phases: (n,) whether a row says them.
    """

    table: Table
    domains: tuple[str, ...]
    weights: FloatArray
    columns: tuple[str, ...]
    shares: tuple[float, ...]
    phases: FloatArray
    has_phases: NDArray[np.bool_]

    @property
    def name(self) -> str:
        """For messages."""
        return self.table.name

    def numbers(self, column: str) -> FloatArray:
        """(n,) values of a column; NaN where a cell is empty or says that it has none.

        Raises:
            CommandFailed: no such column, text in a cell, or percent signs in only some.
        """
        if column not in self.columns:
            if not self.table.rows:
                return np.empty(0)
            near = get_close_matches(column, self.columns, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            known = ", ".join(self.columns) or "weights alone"
            raise CommandFailed(f"{self.name}: no column {column!r}{hint} (columns: {known})")
        found = [
            _figure(self.table, line, column, row[column])
            for line, row in zip(self.table.lines, self.table.rows, strict=True)
        ]
        signs = {bool(x.is_percent): i for i, x in enumerate(found) if x.value}
        if len(signs) > 1:
            with_sign, without = self.table.lines[signs[True]], self.table.lines[signs[False]]
            raise CommandFailed(
                f"{self.name}, column {column!r}: a percent sign in line {with_sign} and none in "
                f"line {without}; write all numbers of a column alike"
            )
        return np.array([np.nan if x.value is None else x.value for x in found], dtype=float)

    def in_order(self, domains: Sequence[str]) -> FloatArray:
        """(n, m) weights with the domains in another order.

        Raises:
            CommandFailed: the file has other domains.
        """
        if set(domains) != set(self.domains):
            missing = sorted(set(domains) - set(self.domains))
            extra = sorted(set(self.domains) - set(domains))
            said = [f"lacks {WEIGHT}{name}" for name in missing]
            said += [f"has {WEIGHT}{name}, which the runs do not" for name in extra]
            raise CommandFailed(f"{self.name}, line 1: {'; '.join(said)}")
        return self.weights[:, [self.domains.index(name) for name in domains]]

    def points_in_order(self, domains: Sequence[str]) -> FloatArray:
        """(n, m) mixtures, or (n, P m) points of schedules (`service.search.schedules`), with the
        domains in another order.

        Raises:
            CommandFailed: the file has other domains.
        """
        weights = self.in_order(domains)
        if not self.shares:
            return weights
        order = [self.domains.index(name) for name in domains]
        points = np.array(self.shares)[:, None] * self.phases[:, :, order]
        return points.reshape(len(weights), len(self.shares) * len(domains))


def read(path: Path, layout: Layout = AS_IT_IS) -> RunsFile:
    """Reads a file of mixtures, or standard input for `-`.

    Raises:
        CommandFailed: not readable, no weight columns, a weight that is no number of 0 or more, or
            a row that sums neither to 1 nor, like all others, to 100; says line and column. Or
            columns of phases that are not complete, or whose mean is another mixture.
    """
    table = tables.read(path)
    if not table.heads and not layout.weights:
        raise CommandFailed(
            f"{table.name} is empty; its first line must name the columns, as "
            f"{WEIGHT}coco,{WEIGHT}lisa,out_score, or name the domains with --weights coco,lisa"
        )
    columns = _weight_columns(table, layout)
    heads = phase_columns.heads_of(table, list(columns))
    domains = tuple(columns or heads[0])
    shares = phase_columns.shares_of(table, len(heads), layout.shares)
    taken = {*columns.values(), *chain.from_iterable(phase.values() for phase in heads)}
    others = tuple(head for head in table.heads if head not in taken)
    # 1. The phases of the rows that have them.
    has_phases = np.array(
        [any(row[head] for phase in heads for head in phase.values()) for row in table.rows],
        dtype=bool,
    )
    rows = np.flatnonzero(has_phases)
    of_each = [_normalised(table, rows, phase.values(), layout) for phase in heads]
    # 2. Their means, and the mixtures of the others.
    weights = np.zeros((len(table.rows), len(domains)))
    is_said = np.array(
        [any(row[head] for head in columns.values()) for row in table.rows], dtype=bool
    )
    plain = np.flatnonzero(~has_phases | is_said)
    weights[plain] = _normalised(table, plain, (columns or heads[0]).values(), layout)
    if heads:
        means = np.tensordot(np.array(shares), np.array(of_each), 1)
        _check_means(table, rows, weights[rows], means, is_said[rows])
        weights[rows] = means
    phases = np.repeat(weights[:, None, :], len(shares), axis=1)
    for p, mixtures in enumerate(of_each):
        phases[rows, p] = mixtures
    return RunsFile(table, domains, weights, others, shares, phases, has_phases)


def _check_means(
    table: Table,
    rows: NDArray[np.intp],
    said: FloatArray,
    means: FloatArray,
    is_said: NDArray[np.bool_],
) -> None:
    """Raises:
    CommandFailed: the mixture of one of the rows is not the mean over its phases.
    """
    off = np.abs(said - means).max(axis=1, initial=0.0)
    for i in np.flatnonzero(is_said & (off > SUM_TOLERANCE))[:1]:
        raise CommandFailed(
            f"{table.name}, line {table.lines[rows[i]]}: the mixture is not the mean over the "
            "phases; --shares says what part of the steps each phase has, as 0.25,0.75, or leave "
            "out the columns of the mean"
        )


def _weight_columns(table: Table, layout: Layout) -> dict[str, str]:
    """The column of each domain."""
    if not layout.weights:
        found = {
            head.removeprefix(WEIGHT).strip(): head
            for head in table.heads
            if head.startswith(WEIGHT) and len(head) > len(WEIGHT)
        }
        if not found and not phase_columns.heads_of(table, ()):
            raise CommandFailed(
                f"{table.name}, line 1: no weight column; each domain needs one called "
                f"{WEIGHT}<domain>, or name those there are with --weights coco,lisa "
                f"(columns: {', '.join(table.heads)})"
            )
        return found
    columns = {}
    for name in layout.weights:
        domain = name.removeprefix(WEIGHT)
        column = next((x for x in (name, domain, WEIGHT + domain) if x in table.heads), None)
        if column is None and table.heads:
            near = get_close_matches(name, table.heads, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise CommandFailed(
                f"{table.name}, line 1: --weights names {name!r}, which is no column{hint} "
                f"(columns: {', '.join(table.heads)})"
            )
        columns[domain] = column or name
    return columns


def _normalised(
    table: Table, rows: NDArray[np.intp], columns: Collection[str], layout: Layout
) -> FloatArray:
    """Weights of some rows divided by their sums, which are all about 1, or all about 100, unless
    told not to be.

    Raises:
        CommandFailed: a row is none of these, or has a weight that is no number of 0 or more.
    """
    lines = [table.lines[i] for i in rows]
    raw = [
        [_weight(table, line, column, table.rows[i][column]) for column in columns]
        for line, i in zip(lines, rows, strict=True)
    ]
    weights = np.array(raw, dtype=float).reshape(len(raw), len(columns))
    totals = weights.sum(axis=1)
    near = {unit: np.abs(totals - unit) <= SUM_TOLERANCE * unit for unit in (1, 100)}
    right = totals > 0 if layout.normalise else near[1] | near[100]
    for i in np.flatnonzero(~right)[:1]:
        hint = "" if layout.normalise else "; --normalise scales every row to sum 1"
        raise CommandFailed(
            f"{table.name}, line {lines[i]}: weights sum to {totals[i]:.6g}, not 1"
            f"{' or 100' if near[100].any() else ''} ({', '.join(columns)}){hint}"
        )
    if not layout.normalise and near[1].any() and near[100].any():
        one, hundred = (lines[int(np.argmax(near[unit]))] for unit in (1, 100))
        raise CommandFailed(
            f"{table.name}: weights sum to 1 in line {one} and to 100 in line {hundred}; write "
            "all as fractions, or all as percents"
        )
    scaled: FloatArray = weights / totals[:, None]
    return scaled


@dataclass(frozen=True, slots=True)
class ScoreColumns:
    """What of a file counts.

    Attributes:
        objective: column, or with `benchmarks` what their weighted mean is called.
        benchmarks: columns that make up the objective, with their weights.
        noise_column: standard error of the objective.
        also: columns that are looked at beside it; runs have them as benchmarks without a share.
    """

    objective: str
    benchmarks: Mapping[str, float]
    noise_column: str | None
    also: tuple[str, ...] = ()

    @property
    def shares(self) -> dict[str, float]:
        """Of each column that is read as a benchmark."""
        total = sum(self.benchmarks.values())
        shares = {name: weight / total for name, weight in self.benchmarks.items()}
        if self.also and not shares:
            shares[self.objective] = 1.0
        return shares | dict.fromkeys(self.also, 0.0)


def runs_of(file: RunsFile, scored: ScoreColumns) -> tuple[Runs, FloatArray]:
    """The scored rows as runs, and the mixtures (k, m) of rows without a score.

    A column `channel` parts off scores of other prices, as `modomodo.channels` tells. `in_score`
    and `out_score` columns serve the paper's heuristics; without an `out_score` the objective
    stands for it.

    Raises:
        CommandFailed: an unknown column, text in a number, or a run of several mixtures.
    """
    columns = scored.shares
    shares = np.array(list(columns.values()))
    n = len(file.weights)
    measured = np.array([file.numbers(name) for name in columns]).T
    measured = measured.reshape(n, len(shares))
    score = measured @ shares if len(shares) else file.numbers(scored.objective)
    known = np.isfinite(score)
    noise = np.full(n, np.nan) if scored.noise_column is None else file.numbers(scored.noise_column)
    wrong = np.flatnonzero(noise < 0)
    if len(wrong):
        raise CommandFailed(
            f"{file.name}, line {file.table.lines[wrong[0]]}, column {scored.noise_column!r}: a "
            f"standard error cannot be {noise[wrong[0]]:g}"
        )
    in_score = file.numbers("in_score") if "in_score" in file.columns else np.full(n, np.nan)
    out_score = file.numbers("out_score") if "out_score" in file.columns else score
    runs = Runs(
        file.weights,
        np.where(known, score, 0.0),
        noise,
        in_score,
        out_score,
        measured,
        _errors(scored, noise, measured.shape),
        shares,
        schedules=file.points_in_order(file.domains) if file.shares else np.empty((0, 0)),
    )
    if file.shares:
        return channels.whole(file, runs, known), file.weights[~known]
    return channels.parted(file, runs, known), file.weights[~known]


def _errors(scored: ScoreColumns, noise: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """(n, B) standard errors of what is read as benchmarks: known of the objective at most."""
    errors = np.full(shape, np.nan)
    if scored.also and not scored.benchmarks:
        errors[:, 0] = noise
    return errors


def _weight(table: Table, line: int, column: str, text: str) -> float:
    """0 for an empty cell."""
    value = _figure(table, line, column, text).value or 0.0
    if value < LEAST:
        raise CommandFailed(
            f"{table.name}, line {line}, column {column!r}: weight {text} is not between 0 and 1"
        )
    return max(value, 0.0)


def _figure(table: Table, line: int, column: str, text: str) -> numbers.Figure:
    try:
        return numbers.read(text, table.mark)
    except ValueError as error:
        shown = text if len(text) <= 40 else text[:37] + "..."
        raise CommandFailed(
            f"{table.name}, line {line}, column {column!r}: {shown!r} {error}"
        ) from error
