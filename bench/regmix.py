"""The RegMix tables: real mixtures and the losses they led to."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache

import numpy as np

from bench.report import ROOT
from service.search.space import FloatArray

FOLDER = ROOT / "bench" / "data" / "regmix"
TARGETS = ("pile_cc", "mean of 13")


@dataclass(frozen=True, eq=False)
class Table:
    """n runs of one model size.

    Attributes:
        domains: m names.
        weights: (n, m).
        losses: (n,) by target.
    """

    domains: tuple[str, ...]
    weights: FloatArray
    losses: dict[str, FloatArray]


@cache
def load(part: str) -> Table:
    """`train_1m`, `test_1m`, `test_60m` or `test_1B`."""
    kind, size = part.split("_")
    mixtures = _read(f"{kind}_mixture_{size}.csv", "train_the_pile_")
    scored = _read(f"{kind}_pile_loss_{size}.csv", "metric/the_pile_")
    order = [index for index in mixtures if index in scored]
    weights = np.array([list(mixtures[index].values()) for index in order])
    losses = np.array([list(scored[index].values()) for index in order])
    names = list(scored[order[0]])
    pile_cc = next(i for i, name in enumerate(names) if "pile_cc" in name)
    return Table(
        tuple(mixtures[order[0]]),
        weights / weights.sum(axis=1, keepdims=True),
        {"pile_cc": losses[:, pile_cc], "mean of 13": losses.mean(axis=1)},
    )


def _read(name: str, prefix: str) -> dict[str, dict[str, float]]:
    """Numbers by row index and column without its prefix."""
    with (FOLDER / name).open(newline="") as file:
        return {
            row["index"]: {
                column.removeprefix(prefix): float(value)
                for column, value in row.items()
                if column.startswith(prefix)
            }
            for row in csv.DictReader(file)
        }
