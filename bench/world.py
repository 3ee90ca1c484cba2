"""The table of real runs of the offline world, as it lies in bench/data/world."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

from bench.report import ROOT

FOLDER = ROOT / "bench" / "data" / "world"

BEGINNING = 106
"""Mixtures that there were when `bench.goals`, `bench.search_cost` and `bench.schedule_search` were
run; they stay with these, so that their figures can be made again and more seeds be added."""

Mixture = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """A model: its kind, seed and step, and its scores by column.

    Attributes:
        kind: `run`, `merged`, `scale` or `base`.
        is_last: whether the step is the run's last.
    """

    mixture: str
    kind: str
    seed: int
    step: int
    is_last: bool
    scores: dict[str, float]


@cache
def load(
    folder: Path = FOLDER, first: int | None = None
) -> tuple[dict[str, Mixture], list[Scored]]:
    """Weights by mixture, and all models; nothing where the table was not made yet.

    Args:
        first: mixtures to take, from the beginning; all if None. The base model is left out then.
    """
    if first is not None:
        mixtures, found = load(folder)
        some = dict(islice(mixtures.items(), first))
        return some, [one for one in found if one.mixture in some]
    if not (folder / "scores.csv").exists():
        return {}, []
    with (folder / "mixtures.csv").open(newline="") as file:
        mixtures = {
            row.pop("mixture"): tuple(float(w) for w in row.values())
            for row in csv.DictReader(file)
        }
    found = []
    with (folder / "scores.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            name, kind, seed, step, is_last, _, *_ = row.values()
            scores = {key: float(value) for key, value in list(row.items())[6:]}
            found.append(Scored(name, kind, int(seed), int(step), is_last == "1", scores))
    return mixtures, found
