"""What `suggest` and `fit` share: a file of runs, what counts in it, which mixtures there are."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from modomodo import channels, runs_file
from modomodo.errors import CommandFailed, WrongUse
from modomodo.extras import need
from modomodo.goal_options import NOTHING_ELSE, Wishes
from modomodo.runs_file import Layout, RunsFile, ScoreColumns
from modomodo.space_options import RunLength, SpaceOptions, space_of
from modomodo.tables import STDIN
from service.notation.columns import WEIGHT
from service.search.runs import TARGET, Runs
from service.search.space import FloatArray, MixtureSpace

DataOption = Annotated[
    Path,
    typer.Option(
        "--data", help="CSV of runs: w_<domain> columns, and scores; - reads standard input."
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="The weight columns, as coco,lisa,sat, where they do not begin with w_.",
    ),
]
NormaliseOption = Annotated[
    bool,
    typer.Option(
        "--normalise",
        "--normalize",
        help="Scale each row's weights to sum 1, whatever they sum to.",
    ),
]
ObjectiveOption = Annotated[str, typer.Option("--objective", help="Column to improve.")]
MinimizeOption = Annotated[bool, typer.Option("--minimize", help="Lower is better.")]
NoiseOption = Annotated[
    str | None,
    typer.Option("--noise-column", help="Column with the standard error of the objective."),
]
BenchmarksOption = Annotated[
    list[str] | None,
    typer.Option(
        "--benchmark",
        help="A column that is part of the objective, and its weight, as chartqa=2500. Repeatable; "
        "the objective is then their weighted mean.",
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="The same seed, the same answer.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
PlotOption = Annotated[
    Path | None, typer.Option("--plot", help="Also draw it: a file ending in .html, .png or .svg.")
]

EXTRAS = {"auto": "gp", "gp": "gp", "ax": "ax", "lightgbm": "lightgbm"}
"""Strategies and surrogates that need more than the package's own dependencies."""


@dataclass(frozen=True, eq=False)
class Case:
    """A file of runs as the engine takes it.

    Attributes:
        file: what messages call it.
        unscored: (k, m) mixtures of rows without a score.
        layout: of the file, and of others that belong to it.
        beside: rows that are no evidence: parts of runs with a schedule, and where schedules may
            be proposed, scores of other channels, and of other phases.
    """

    file: str
    domains: tuple[str, ...]
    space: MixtureSpace
    runs: Runs
    unscored: FloatArray
    layout: Layout
    beside: int = 0

    @property
    def shares(self) -> tuple[float, ...]:
        """What part of the steps each phase has; none where mixtures stay the same."""
        return self.layout.shares

    @property
    def searched(self) -> MixtureSpace:
        """What may be proposed: mixtures of `space`, or schedules whose means are in it."""
        from service.search.schedules import ScheduleSpace

        return ScheduleSpace(self.space, self.shares) if self.shares else self.space

    def mixtures(self, path: Path | None) -> FloatArray:
        """(k, m) mixtures of another file, or (k, P m) points of schedules; none for no file.

        Raises:
            CommandFailed: not readable, or with other domains or phases.
        """
        if path is None:
            return np.empty((0, self.space.m * max(1, len(self.shares))))
        return self._read(path).points_in_order(self.domains)

    def pending(self, path: Path | None) -> dict[str, FloatArray]:
        """(p, m) mixtures of another file, or (p, P m) points of schedules, by their channel.

        Raises:
            CommandFailed: not readable, or with other domains or phases.
        """
        if path is None:
            return {}
        file = self._read(path)
        points = file.points_in_order(self.domains)
        if self.shares:
            return {TARGET: points[channels.are_whole(file)]}
        return channels.pending_by_channel(file, points)

    def _read(self, path: Path) -> RunsFile:
        file = runs_file.read(path, self.layout)
        if file.shares and not self.shares:
            raise CommandFailed(
                f"{file.name} has columns of phases, and {self.file} has none; "
                f"say --phases {len(file.shares)}"
            )
        return file


def case_of(
    path: Path,
    scored: ScoreColumns,
    wanted: SpaceOptions,
    layout: Layout,
    length: RunLength | None = None,
) -> Case:
    """Reads a file of runs, which may have none.

    Raises:
        WrongUse: options that cannot be read or contradict each other.
        CommandFailed: a file that cannot be used.
    """
    file = runs_file.read(path, layout)
    runs, unscored = runs_file.runs_of(file, scored)
    space = space_of(file.domains, wanted, length or RunLength(), layout)
    taken = channels.are_whole(file) if file.shares else channels.are_evidence(file)
    beside = int((~taken).sum())
    layout = replace(layout, shares=file.shares)
    return Case(file.name, file.domains, space, runs, unscored, layout, beside)


def layout_of(
    weights: str | None, normalise: bool, *paths: Path | None, shares: tuple[float, ...] = ()
) -> Layout:
    """The options that say how files are written.

    Args:
        paths: all files that will be read.
        shares: of the phases of schedules that are asked for.

    Raises:
        WrongUse: a name comes twice or is empty, or two files are standard input.
    """
    if sum(path == STDIN for path in paths) > 1:
        raise WrongUse("standard input can be read once: only one file can be -")
    if weights is None:
        return Layout((), normalise, shares)
    names = [name.strip() for name in next(csv.reader([weights], skipinitialspace=True), [])]
    domains = [name.removeprefix(WEIGHT) for name in names]
    if not domains or not all(domains):
        raise WrongUse(f"--weights {weights!r} is not of the form coco,lisa,sat")
    doubles = [name for name in domains if domains.count(name) > 1]
    if doubles:
        raise WrongUse(f"--weights {weights!r} names {doubles[0]!r} twice")
    return Layout(tuple(names), normalise, shares)


def known(what: str, name: str, names: Iterable[str]) -> None:
    """Passes for a strategy or surrogate that is there, with what it needs installed.

    Raises:
        WrongUse: not one of `names`.
        CommandFailed: an extra is not installed; says which.
    """
    if name not in names:
        raise WrongUse(f"unknown {what} {name!r}; there are {', '.join(names)}")
    if name in EXTRAS:
        need(EXTRAS[name])


def score_columns(
    objective: str,
    benchmarks: list[str] | None,
    noise_column: str | None,
    wishes: Wishes = NOTHING_ELSE,
) -> ScoreColumns:
    """The options that say what counts.

    Raises:
        WrongUse: a benchmark that is not of the form chartqa=2500.
    """
    weights = {}
    for text in benchmarks or ():
        name, equals, value = text.rpartition("=")
        try:
            weights[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals or not 0 < weights[name.strip()] < 1e12:
            raise WrongUse(f"--benchmark {text!r} is not of the form chartqa=2500")
    also = wishes.columns(objective, weights)
    return ScoreColumns(objective, weights, noise_column, also)
