"""Objectives whose best mixture is known: fitted to real tables, made up, or the tables themselves.

Higher is better. Scores are in points of 100: the best is 10 above the worst of 20,000 uniform
mixtures, and a run has a noise of 0.6, about as in the paper.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from bench.regmix import load
from bench.report import ROOT
from service.search.listed import ListedSpace
from service.search.quadratics import Quadratic, climb, has_few_faces, maximise
from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace, total_variation
from service.search.surrogates.bayes_quadratic import BayesQuadratic

RANGE = 10.0
NOISE = 0.6
SAMPLES = 20_000

Score = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class Truth:
    """An objective over a space.

    Attributes:
        score: mixtures (k, m) to noise-free scores (k,).
        best: the highest score there is.
    """

    name: str
    space: MixtureSpace
    score: Score
    best: float

    def regret(self, weights: FloatArray) -> float:
        """How far a mixture (m,) is below the best, as a share of the range."""
        return float(self.best - self.score(self.runnable(weights)[None])[0]) / RANGE

    def runnable(self, weights: FloatArray) -> FloatArray:
        """The mixture itself, or the nearest of the list in total variation."""
        return weights if self.space.listed() is None else self.space.project(weights)


@cache
def truth(name: str) -> Truth:
    """One of `TRUTHS`."""
    kind, _, size = name.partition("-")
    if kind == "pool":
        return _pool(name, {"1M": "train_1m", "60M": "test_60m", "1B": "test_1B"}[size])
    if kind == "ridge":
        return _scaled(name, int(size), _ridge(int(size)))
    power = {"quadratic": 1.0, "root": 0.5}[kind]
    fitted = _paper(power) if int(size) == 5 else _regmix(power, int(size))
    return _scaled(name, int(size), fitted, fitted)


TRUTHS = {
    "quadratic-3": "the fit of `quadratic-17` on its three domains of most weight",
    "quadratic-5": "a quadratic fitted to the paper's 11 seeds (Table 2, Out-Score)",
    "root-5": "a quadratic of square roots fitted to the same: effects saturate",
    "ridge-5": "made up: a ridge that falls off twenty times as steeply across as along",
    "quadratic-8": "the fit of `quadratic-17` on its eight domains of most weight",
    "root-8": "the fit of `root-17` on the same eight",
    "root-17": "a quadratic of square roots fitted to RegMix's 512 runs at 1M, mean of 13 losses",
    "pool-60M": "RegMix's 256 runs at 60M as they are, mean of 13 losses: no others can be run",
    "pool-1B": "RegMix's 64 runs at 1B, likewise",
}
"""What there is, and where it comes from."""


def _regmix(power: float, m: int) -> Quadratic:
    """The mean of the Bayesian quadratic of all 512 runs, on the m domains of most weight."""
    table = load("train_1m")
    fitted = _fit(table.weights, -table.losses["mean of 13"], power)
    kept = np.sort(np.argsort(-table.weights.mean(axis=0), kind="stable")[:m])
    return Quadratic(
        fitted.constant, fitted.slope[kept], fitted.curvature[np.ix_(kept, kept)], power
    )


def _paper(power: float) -> Quadratic:
    domains = ("coco", "lisa", "geoqav", "sat", "scienceqa")
    path = ROOT / "bench" / "data" / "modomodo" / "table2.csv"
    with path.open(newline="") as file:
        seeds = [row for row in csv.DictReader(file) if row["group"].startswith("seed")]
    X = np.array([[float(row[f"w_{domain}"]) for domain in domains] for row in seeds])
    return _fit(X, np.array([float(row["out_score"]) for row in seeds]), power)


def _fit(X: FloatArray, y: FloatArray, power: float) -> Quadratic:
    space = MixtureSpace.simplex([f"d{i}" for i in range(X.shape[1])])
    nothing = np.full(len(y), np.nan)
    return (
        BayesQuadratic((power,)).fit(space, Runs(X, y, nothing, nothing, nothing), 0).parts[0].mean
    )


def _ridge(m: int) -> Score:
    rng = np.random.default_rng(m)
    top = rng.dirichlet(np.full(m, 3.0))
    across = rng.normal(size=m)
    across -= across.mean()
    across /= np.linalg.norm(across)

    def score(X: FloatArray) -> FloatArray:
        off = X - top
        value: FloatArray = -20 * (off @ across) ** 2 - (off**2).sum(axis=1)
        return value

    return score


def _scaled(name: str, m: int, score: Score, quadratic: Quadratic | None = None) -> Truth:
    space = MixtureSpace.simplex([f"d{i}" for i in range(m)])
    rng = np.random.default_rng(0)
    X = np.vstack([space.sample(SAMPLES, rng), space.vertices(), space.uniform[None]])
    values = score(X)
    if quadratic is not None and quadratic.power == 1.0 and has_few_faces(space):
        best = maximise(quadratic, space).value
    elif quadratic is not None:
        best = climb(quadratic, space, X, 64).value
    else:
        top = X[np.argsort(-values)[:64]]
        best = float(score(space.maximise(score, rng, also=top, n=SAMPLES)[None])[0])
    worst = float(values[:SAMPLES].min())
    factor = RANGE / (best - worst)
    return Truth(name, space, lambda X: factor * (score(X) - worst), RANGE)


def _pool(name: str, part: str) -> Truth:
    table = load(part)
    losses = table.losses["mean of 13"]
    scores = RANGE * (losses.max() - losses) / float(np.ptp(losses))

    def score(X: FloatArray) -> FloatArray:
        return np.array([scores[int(np.argmin(total_variation(x, table.weights)))] for x in X])

    m = len(table.domains)
    space = ListedSpace(table.domains, np.zeros(m), np.ones(m), rows=table.weights)
    return Truth(name, space, score, RANGE)
