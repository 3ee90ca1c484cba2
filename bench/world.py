"""The table of real runs of the offline world, as it lies in bench/data/world."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.report import ROOT

FOLDER = ROOT / "bench" / "data" / "world"

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
def load(folder: Path = FOLDER) -> tuple[dict[str, Mixture], list[Scored]]:
    """Weights by mixture, and all models; nothing where the table was not made yet."""
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
