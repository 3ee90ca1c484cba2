"""Scores of other prices in a file of runs: its columns `channel` and `run`.

A row's channel says what its score is of: `full` or nothing is the whole run, which all predictions
are of; any other name, such as `step-500` or `merged`, is cheaper evidence about it. Rows with the
same `run` are scores of one training run. A run with a schedule that ended on the way (channel
`scheduled-step-500`) is evidence of nothing: that part of it had another mixture than the whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from modomodo.errors import CommandFailed, WrongUse
from service.search.runs import ALONE, SCHEDULED, TARGET, Runs
from service.search.situation import FULL_RUNS
from service.search.space import SAME, FloatArray, total_variation

if TYPE_CHECKING:
    from modomodo.runs_file import RunsFile

CHANNEL, RUN = "channel", "run"

CostOption = Annotated[
    str | None,
    typer.Option(
        "--cost",
        help="What a score of other channels costs, in full runs, as step-500=0.25,merged=0.02.",
    ),
]
ChannelsOption = Annotated[
    str | None,
    typer.Option(
        "--channels",
        help="What may be proposed, as full,merged; full runs and what has a --cost if not said.",
    ),
]


def costs_of(cost: str | None, channels: str | None) -> Mapping[str, float]:
    """What a score costs in each channel that may be proposed, in full runs.

    Raises:
        WrongUse: an option that cannot be read, a channel without a cost, or none but cheap ones.
    """
    costs = dict(FULL_RUNS)
    for part in filter(None, (text.strip() for text in (cost or "").split(","))):
        name, equals, value = part.partition("=")
        name = _channel(name.strip())
        if not equals or not name:
            raise WrongUse(f"--cost: {part!r} is not of the form merged=0.02")
        try:
            costs[name] = float(value)
        except ValueError:
            costs[name] = math.nan
        if not 0 < costs[name] < math.inf:
            raise WrongUse(f"--cost: {part!r}: {value!r} is not a number of full runs above 0")
        if name == TARGET and costs[name] != 1:
            raise WrongUse(f"--cost: {part!r}: costs are in full runs, so {TARGET} is 1")
    if channels is None:
        return costs
    names = [_channel(name.strip()) for name in channels.split(",")]
    without = [name for name in names if name not in costs]
    if without:
        raise WrongUse(f"--channels: {without[0]!r} has no cost; say --cost {without[0]}=0.1")
    if TARGET not in names:
        raise WrongUse(f"--channels: {channels!r} lacks {TARGET}, which predictions are of")
    return {name: costs[name] for name in (TARGET, *names)}


def pending_by_channel(file: RunsFile, mixtures: FloatArray) -> dict[str, FloatArray]:
    """The mixtures (k, m) of a file's rows by its column `channel`; all full runs without one."""
    if CHANNEL not in file.columns:
        return {TARGET: mixtures}
    channel = _channels(file)
    names = sorted({*channel[are_evidence(file)]})
    return {str(name): mixtures[channel == name] for name in (TARGET, *names)}


def parted(file: RunsFile, runs: Runs, known: NDArray[np.bool_]) -> Runs:
    """The full runs among the rows that are `known` (n,), the others as their channels.

    A file without a column `channel` has full runs alone; whatever a column `run` means there, it
    does not matter.

    Raises:
        CommandFailed: rows of one training run are of different mixtures, or of one channel.
    """
    if CHANNEL not in file.columns:
        return runs.subset(known)
    channel, known = _channels(file), known & are_evidence(file)
    names = sorted({str(name) for name in channel[known]} - {TARGET})
    if not names:
        return runs.subset(known & (channel == TARGET))
    numbered = replace(runs, run=_runs(file, runs, channel, known))
    others = {name: numbered.subset(known & (channel == name)) for name in names}
    return replace(numbered.subset(known & (channel == TARGET)), channels=others)


def whole(file: RunsFile, runs: Runs, known: NDArray[np.bool_]) -> Runs:
    """The whole runs among the rows that are `known` (n,), where schedules may be proposed: those
    of one mixture, and those whose phases the file has. Other channels tell of mixtures alone."""
    return runs.subset(known & are_whole(file))


def are_whole(file: RunsFile) -> NDArray[np.bool_]:
    """(n,) which rows these are."""
    if CHANNEL not in file.columns:
        return np.ones(len(file.weights), dtype=bool)
    channel = _channels(file)
    found: NDArray[np.bool_] = (channel == TARGET) | ((channel == SCHEDULED) & file.has_phases)
    return found


def are_evidence(file: RunsFile) -> NDArray[np.bool_]:
    """(n,) which rows tell something of a mixture."""
    if CHANNEL not in file.columns:
        return np.ones(len(file.weights), dtype=bool)
    return np.array([not name.startswith(f"{SCHEDULED}-") for name in _channels(file)], dtype=bool)


def _channels(file: RunsFile) -> NDArray[np.object_]:
    """(n,) the channel of each row of a file that names them."""
    return np.array([_channel(row[CHANNEL]) for row in file.table.rows], dtype=object)


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
