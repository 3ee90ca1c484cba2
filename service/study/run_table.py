"""Finished runs in a table: a line a run, with the columns of an exported study or fewer.

Read by the command line and by the page of trials, so it needs no library but pydantic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from db.trial_states import WHOLE
from service.notation import numbers, table_text
from service.notation.columns import WEIGHT, weight_in
from service.notation.table_text import BadTable, Table
from service.plain_errors import plain
from service.schemas import MAX_RUNS, RunImport, StudySpec
from service.study.export_columns import LAST, TAG_MARK, benchmark_heads, heads
from service.study.run_outcome import CHANGED, NO_SCORE, NOT_COMPLETED, NOT_WHOLE, Line, RunTable

MOST_BYTES = 8 * 2**20
MOST_COLUMNS = 1000
SUM_TOLERANCE = 1e-3
"""Weights written with few digits may be off by this share; they are normalised."""
LEAST = -1e-9
"""A weight that arithmetic left below zero by no more is zero."""
STATE, CHANNEL, NOTE, TAGS, WALL_S = "state", "channel", "note", "tags", "wall_s"


@dataclass(frozen=True, slots=True)
class _Columns:
    """Heads of the columns that are read, by domain and by benchmark."""

    weights: dict[str, str]
    scores: dict[str, str]


def read(spec: StudySpec, content: bytes, name: str, tags: Sequence[str] = ()) -> RunTable:
    """Reads a file's content as runs of a study.

    A weight's column is called `w_<domain>`, or like the domain where none begins with `w_`; a
    benchmark's as in an export, or like the benchmark.

    Args:
        tags: that each run gets beside its own.

    Raises:
        BadTable: it is no such table at all: not text, too large, a column twice, no weights, no
            scores, or weights of a domain that the study has not.
    """
    table = table_text.read(content, name, most_rows=MAX_RUNS, most_columns=MOST_COLUMNS)
    if not table.rows:
        raise BadTable(
            f"{name} has no runs: its first line names the columns, as "
            f"{','.join(heads(spec)[3:5])},..., and each further line is a run"
        )
    columns = _columns(spec, table)
    runs, lines, left_out, wrong = [], [], [], []
    units = _Units()
    for line, row in zip(table.lines, table.rows, strict=True):
        reason = _no_whole_run(row) or _changed(spec, row)
        if reason is not None:
            left_out.append(Line(line, *reason))
            continue
        try:
            found = _run(table, row, columns, tags, units, line)
        except _Wrong as error:
            wrong.append(Line(line, str(error)))
            continue
        absent = [name for name in spec.needed_benchmarks() if name not in found.scores]
        if absent:
            why = f"no score of {', '.join(absent)}, which a run of this study needs"
            left_out.append(Line(line, why, NO_SCORE))
            continue
        runs.append(found)
        lines.append(line)
    used = {*columns.weights.values(), *columns.scores.values(), *heads(spec), *LAST, NOTE}
    return RunTable(
        name,
        tuple(runs),
        tuple(lines),
        tuple(left_out),
        tuple(wrong),
        tuple(domain.name for domain in spec.domains if domain.name not in columns.weights),
        tuple(head for head in table.heads if head not in used),
    )


def _columns(spec: StudySpec, table: Table) -> _Columns:
    has_prefix = any(head.startswith(WEIGHT) for head in table.heads)
    prefix = WEIGHT if has_prefix else ""
    weights = {
        domain.name: prefix + domain.name
        for domain in spec.domains
        if prefix + domain.name in table.heads
    }
    exported = dict(zip((b.name for b in spec.benchmarks), benchmark_heads(spec), strict=True))
    scores = {name: head for name, head in exported.items() if head in table.heads}
    top = f"{table.name}, line 1"
    both = sorted(set(weights.values()) & set(scores.values()))
    if both:
        raise BadTable(
            f"{top}: column {both[0]!r} may be a domain's weights or a benchmark's scores; call "
            f"columns of weights {WEIGHT}{both[0]} and the like"
        )
    listed = ", ".join(table.heads[:20]) + (", ..." if len(table.heads) > 20 else "")
    if has_prefix:
        taken = {*weights.values(), *scores.values()}
        for head in table.heads:
            if head.startswith(WEIGHT) and head not in taken:
                known = [WEIGHT + domain.name for domain in spec.domains]
                near = get_close_matches(head, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise BadTable(
                    f"{top}, column {head!r}: study {spec.name!r} has no such domain{hint} "
                    f"(it has {', '.join(domain.name for domain in spec.domains)})"
                )
    if not weights:
        raise BadTable(
            f"{top}: no column of weights; study {spec.name!r} has the domains "
            f"{', '.join(WEIGHT + domain.name for domain in spec.domains)} (columns: {listed})"
        )
    if not scores:
        raise BadTable(
            f"{top}: no column of scores; study {spec.name!r} has the benchmarks "
            f"{', '.join(exported.values())} (columns: {listed})"
        )
    return _Columns(weights, scores)


def _no_whole_run(row: dict[str, str]) -> tuple[str, str] | None:
    """Why a line is not looked at further, and its kind."""
    state = row.get(STATE, "").casefold()
    if state not in ("", WHOLE):
        return f"its run is {_shown(state)}, and only completed ones are taken", NOT_COMPLETED
    channel = row.get(CHANNEL, "").casefold()
    if channel not in ("", "full"):
        return f"its scores are of channel {_shown(channel)!r}, not of a whole run", NOT_WHOLE
    return None


def _changed(spec: StudySpec, row: dict[str, str]) -> tuple[str, str] | None:
    """The same of a run whose phases the table has."""
    if not any(row.get(weight_in(1, domain.name)) for domain in spec.domains):
        return None
    return "its mixture changed on the way; `modomodo trial add --phase` adds it", CHANGED


class _Wrong(Exception):  # noqa: N818 - a line that cannot be read
    """Says the column, what is wrong and what would be right."""


class _Units:
    """What weights sum to: 1 in all lines, or 100 in all."""

    def __init__(self) -> None:
        self.first: tuple[int, int] | None = None

    def scale(self, total: float, line: int, columns: Sequence[str]) -> float:
        """What to divide a line's weights by.

        Raises:
            _Wrong: their sum is neither, or another than that of lines before.
        """
        unit = next((u for u in (1, 100) if abs(total - u) <= SUM_TOLERANCE * u), None)
        if unit is None:
            shown = ", ".join(columns[:6]) + (", ..." if len(columns) > 6 else "")
            raise _Wrong(f"weights sum to {total:.6g}, not 1 or 100 ({shown})")
        if self.first is None:
            self.first = unit, line
        if unit != self.first[0]:
            raise _Wrong(
                f"weights sum to {unit}, and to {self.first[0]} in line {self.first[1]}; write all "
                "as fractions, or all as percents"
            )
        return total


def _run(
    table: Table,
    row: dict[str, str],
    columns: _Columns,
    tags: Sequence[str],
    units: _Units,
    line: int,
) -> RunImport:
    """A line's run.

    Raises:
        _Wrong: it cannot be read.
    """
    weights = {name: _weight(table, head, row[head]) for name, head in columns.weights.items()}
    total = units.scale(sum(weights.values()), line, list(columns.weights.values()))
    found = {name: _score(table, head, row[head]) for name, head in columns.scores.items()}
    scores = {name: score for name, score in found.items() if score is not None}
    said: dict[str, Any] = {
        "mixture": {name: weight / total for name, weight in weights.items()},
        # Which scores a run needs is looked at by the caller; none at all is not looked at here.
        "scores": scores,
        "note": row.get(NOTE, ""),
        "tags": [*tags, *_tags(row.get(TAGS, ""))],
    }
    if row.get(WALL_S):
        took = _figure(table, WALL_S, row[WALL_S])
        if took is not None and took < 0:
            raise _Wrong(f"column {WALL_S!r}: {_shown(row[WALL_S])} is less than 0 seconds")
        said["wall_s"] = took
    if not scores:
        return RunImport.model_construct(**said)
    try:
        return RunImport.model_validate(said)
    except ValidationError as error:
        fault = error.errors()[0]
        raise _Wrong(f"column {fault['loc'][0]!r}: {plain(fault)}") from error


def _tags(cell: str) -> list[str]:
    parts = (part.strip() for part in cell.replace(",", TAG_MARK).split(TAG_MARK))
    return [part for part in parts if part]


def _weight(table: Table, column: str, text: str) -> float:
    if not text:
        return 0.0
    value = _figure(table, column, text)
    if value is None:
        raise _Wrong(f"column {column!r}: {_shown(text)!r} is no weight; leave it empty for 0")
    if value < LEAST:
        raise _Wrong(f"column {column!r}: weight {_shown(text)} is below 0")
    return max(value, 0.0)


def _score(table: Table, column: str, text: str) -> float | None:
    value = _figure(table, column, text)
    if value is not None and not 0 <= value <= 1:
        raise _Wrong(
            f"column {column!r}: {_shown(text)} is not a number from 0 to 1: give fractions, 0.412 "
            "or 41.2%"
        )
    return value


def _figure(table: Table, column: str, text: str) -> float | None:
    try:
        return numbers.read(text, table.mark).value
    except ValueError as error:
        raise _Wrong(f"column {column!r}: {_shown(text)!r} {error}") from error


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
