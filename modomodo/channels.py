"""Scores of other prices in a file of runs: its columns `channel` and `run`.

A row's channel says what its score is of: `full` or nothing is the whole run, which all predictions
are of; any other name, such as `step-500` or `merged`, is cheaper evidence about it. Rows with the
same `run` are scores of one training run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modomodo.errors import CommandFailed
from service.search.runs import ALONE, TARGET, Runs
from service.search.space import SAME, total_variation

if TYPE_CHECKING:
    from modomodo.runs_file import RunsFile

CHANNEL, RUN = "channel", "run"


def parted(file: RunsFile, runs: Runs, known: NDArray[np.bool_]) -> Runs:
    """The full runs among the rows that are `known` (n,), the others as their channels.

    A file without a column `channel` has full runs alone; whatever a column `run` means there, it
    does not matter.

    Raises:
        CommandFailed: rows of one training run are of different mixtures, or of one channel.
    """
    if CHANNEL not in file.columns:
        return runs.subset(known)
    channel = np.array([_channel(row[CHANNEL]) for row in file.table.rows], dtype=object)
    names = sorted({str(name) for name in channel[known]} - {TARGET})
    if not names:
        return runs.subset(known & (channel == TARGET))
    numbered = replace(runs, run=_runs(file, runs, channel, known))
    others = {name: numbered.subset(known & (channel == name)) for name in names}
    return replace(numbered.subset(known & (channel == TARGET)), channels=others)


def _channel(text: str) -> str:
    return TARGET if text.casefold() in ("", TARGET) else text


def _runs(
    file: RunsFile, runs: Runs, channel: NDArray[np.object_], known: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """(n,) numbers of the training runs."""
    number = np.full(len(runs), ALONE, dtype=np.intp)
    if RUN not in file.columns:
        return number
    first: dict[str, int] = {}
    seen: dict[tuple[str, str], int] = {}
    for i, row in enumerate(file.table.rows):
        name = row[RUN]
        if not name or not known[i]:
            continue
        line, before = file.table.lines[i], first.setdefault(name, i)
        if total_variation(runs.weights[i], runs.weights[[before]])[0] > SAME:
            raise CommandFailed(
                f"{file.name}, line {line}: run {name!r} has another mixture in line "
                f"{file.table.lines[before]}; rows of one training run have one mixture"
            )
        twice = seen.setdefault((name, str(channel[i])), i)
        if twice != i:
            raise CommandFailed(
                f"{file.name}, line {line}: run {name!r} has a score of channel "
                f"{str(channel[i])!r} in line {file.table.lines[twice]} already; a training run "
                "has one score a channel, and another run another name"
            )
        number[i] = before
    return number
