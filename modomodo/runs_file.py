"""Mixtures and scores from a CSV file: weight columns `w_<domain>`, any other number a score."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from modomodo.errors import CommandFailed
from service.search.runs import Runs
from service.search.space import FloatArray

PREFIX = "w_"
SUM_TOLERANCE = 1e-3
"""Weights written with few digits may be off by this; they are normalised."""


@dataclass(frozen=True, eq=False)
class RunsFile:
    """A read file: everything by column name.

    Attributes:
        domains: in the order of their columns.
        weights: (n, m), each row normalised.
        lines: (n,) line of each row in the file, the header being line 1.
        cells: text of the other columns, one dictionary a row.
    """

    path: Path
    domains: tuple[str, ...]
    weights: FloatArray
    lines: tuple[int, ...]
    cells: tuple[Mapping[str, str], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are not weights."""
        return tuple(self.cells[0]) if self.cells else ()

    def numbers(self, column: str) -> FloatArray:
        """(n,) values of a column; NaN where a cell is empty.

        Raises:
            CommandFailed: no such column, or text in a cell.
        """
        if self.cells and column not in self.columns:
            near = get_close_matches(column, self.columns, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise CommandFailed(
                f"{self.path}: no column {column!r}{hint} (columns: {', '.join(self.columns)})"
            )
        return np.array(
            [
                _number(self.path, line, column, row[column])
                for line, row in zip(self.lines, self.cells, strict=True)
            ],
            dtype=float,
        )

    def in_order(self, domains: Sequence[str]) -> FloatArray:
        """(n, m) weights with the domains in another order.

        Raises:
            CommandFailed: the file has other domains.
        """
        if set(domains) != set(self.domains):
            missing = sorted(set(domains) - set(self.domains))
            extra = sorted(set(self.domains) - set(domains))
            said = [f"lacks {PREFIX}{name}" for name in missing]
            said += [f"has {PREFIX}{name}, which the runs do not" for name in extra]
            raise CommandFailed(f"{self.path}, line 1: {'; '.join(said)}")
        return self.weights[:, [self.domains.index(name) for name in domains]]


def read(path: Path) -> RunsFile:
    """Reads a file of mixtures.

    Raises:
        CommandFailed: not readable, no weight columns, a weight that is no number between 0 and 1,
            or a row that does not sum to 1; says line and column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"cannot read {path}: {error}") from error
    reader = csv.reader(text.splitlines())
    head = next(reader, None)
    if not head:
        raise CommandFailed(f"{path} is empty; its first line must name the columns")
    head = [name.strip() for name in head]
    doubles = sorted({name for name in head if name and head.count(name) > 1})
    if doubles:
        raise CommandFailed(f"{path}, line 1: column {doubles[0]!r} comes twice")
    places = [i for i, name in enumerate(head) if name.startswith(PREFIX) and len(name) > 2]
    if not places:
        raise CommandFailed(
            f"{path}, line 1: no weight column; each domain needs one called {PREFIX}<domain> "
            f"(columns: {', '.join(head)})"
        )
    weights, lines, cells = [], [], []
    for row in reader:
        line = reader.line_num
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(head):
            raise CommandFailed(f"{path}, line {line}: {len(row)} cells for {len(head)} columns")
        weights.append(_weights(path, line, [(head[i], row[i]) for i in places]))
        lines.append(line)
        cells.append({name: row[i].strip() for i, name in enumerate(head) if i not in places})
    domains = tuple(head[i].removeprefix(PREFIX) for i in places)
    array = np.array(weights, dtype=float).reshape(len(weights), len(domains))
    return RunsFile(path, domains, array, tuple(lines), tuple(cells))


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a file counts.

    Attributes:
        objective: column, or with `benchmarks` what their weighted mean is called.
        benchmarks: columns that make up the objective, with their weights.
        noise_column: standard error of the objective.
    """

    objective: str
    benchmarks: Mapping[str, float]
    noise_column: str | None


def runs_of(file: RunsFile, asked: Asked) -> tuple[Runs, FloatArray]:
    """The scored rows as runs, and the mixtures (k, m) of rows without a score.

    `in_score` and `out_score` columns serve the paper's heuristics; without an `out_score` the
    objective stands for it.

    Raises:
        CommandFailed: an unknown column, text in a number, or an objective without any value.
    """
    shares = np.array(list(asked.benchmarks.values()))
    shares = shares / shares.sum() if len(shares) else shares
    measured = np.array([file.numbers(name) for name in asked.benchmarks]).T
    measured = measured.reshape(len(file.lines), len(shares))
    score = measured @ shares if len(shares) else file.numbers(asked.objective)
    known = np.isfinite(score)
    if not known.any():
        what = f"columns {', '.join(asked.benchmarks)}" if len(shares) else repr(asked.objective)
        raise CommandFailed(f"{file.path}: {what}: no row has a value; nothing to learn from")
    n = len(score)
    noise = np.full(n, np.nan) if asked.noise_column is None else file.numbers(asked.noise_column)
    wrong = np.flatnonzero(noise < 0)
    if len(wrong):
        raise CommandFailed(
            f"{file.path}, line {file.lines[wrong[0]]}, column {asked.noise_column!r}: a standard "
            f"error cannot be {noise[wrong[0]]:g}"
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
        np.full(measured.shape, np.nan),
        shares,
    )
    return runs.subset(known), file.weights[~known]


def _weights(path: Path, line: int, cells: list[tuple[str, str]]) -> list[float]:
    values = []
    for column, text in cells:
        value = _number(path, line, column, text)
        value = 0.0 if math.isnan(value) else value
        if not 0 <= value <= 1 + SUM_TOLERANCE:
            raise CommandFailed(
                f"{path}, line {line}, column {column!r}: weight {text.strip()} is not between "
                "0 and 1"
            )
        values.append(value)
    total = sum(values)
    if abs(total - 1) > SUM_TOLERANCE:
        raise CommandFailed(
            f"{path}, line {line}: weights sum to {total:.6g}, not 1 "
            f"({', '.join(column for column, _ in cells)})"
        )
    return [value / total for value in values]


def _number(path: Path, line: int, column: str, text: str) -> float:
    """NaN for an empty cell."""
    stripped = text.strip()
    if not stripped:
        return math.nan
    try:
        value = float(stripped)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        shown = stripped if len(stripped) <= 40 else stripped[:37] + "..."
        raise CommandFailed(
            f"{path}, line {line}, column {column!r}: {shown!r} is not a number; leave the cell "
            "empty where there is no value"
        )
    return value
