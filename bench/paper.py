"""What every strategy would have proposed from the paper's own 11 seeds, and how far to trust it.

`python -m bench.paper`
"""

from __future__ import annotations

import csv

import numpy as np

from bench.report import ROOT, table, write_section
from modomodo.summary import mixture_text
from service.search.diagnostics import diagnose
from service.search.heuristics import HEURISTICS
from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.strategies import propose
from service.search.surrogates import SURROGATES, fit

TABLE = ROOT / "bench" / "data" / "modomodo" / "table2.csv"
"""Table 2 of arXiv 2505.24871; weights are known for the seeds only."""

DOMAINS = ("coco", "lisa", "geoqav", "sat", "scienceqa")
TEST_ITEMS = 7201
NAMED = {
    "alpha-in": "Ain",
    "alpha-out": "Aout",
    "alpha-balanced": "Abal",
    "coli": "Coli",
    "norm": "Norm",
}


def main() -> None:
    rows = list(csv.DictReader(TABLE.open()))
    seeds, space = seed_runs(rows), MixtureSpace.simplex(DOMAINS)
    write_section("paper", report(seeds, space, published(rows)))


def seed_runs(rows: list[dict[str, str]]) -> Runs:
    """The 11 seeds with the binomial error of their Out-Score."""
    chosen = [row for row in rows if row["group"].startswith("seed")]
    out = np.array([float(row["out_score"]) for row in chosen])
    return Runs(
        weights=np.array([[float(row[f"w_{domain}"]) for domain in DOMAINS] for row in chosen]),
        score=out,
        noise_sd=np.sqrt(out * (1 - out) / TEST_ITEMS),
        in_score=np.array([float(row["in_score"]) for row in chosen]),
        out_score=out,
    )


def published(rows: list[dict[str, str]]) -> dict[str, float]:
    """Out-Score of the paper's own run of each heuristic made from final scores."""
    final = {r["experiment"]: r["out_score"] for r in rows if r["group"] == "heuristic-2000"}
    return {ours: float(final[theirs]) for ours, theirs in NAMED.items()}


def report(seeds: Runs, space: MixtureSpace, theirs: dict[str, float]) -> str:
    return f"""
The 11 seed runs of the paper's Table 2, Out-Score in points of 100, sampling error 0.6.

{_fits(seeds, space)}

{_proposals(seeds, space, theirs)}

The table gives no weights for the paper's heuristic and model runs, so scores can be compared,
mixtures not; the value of `alpha_single` is not given either (1 here). The best seed has
{100 * seeds.score.max():.1f}.
"""


def _fits(seeds: Runs, space: MixtureSpace) -> str:
    rows = []
    for name in SURROGATES:
        found = diagnose(name, space, seeds, seed=0)
        inside = round(len(seeds) * (found.loo.coverage_90 or 0))
        rows.append(
            [
                name,
                f"{found.loo.r2:.1f}",
                f"{100 * (found.loo.rmse or 0):.1f}",
                f"{inside} of {len(seeds)}",
                _mixture(found.best.weights),
                f"{100 * found.best.mean:.1f} ± {100 * found.best.sd:.1f}",
            ]
        )
    head = [
        "surrogate",
        "left-out R²",
        "RMSE",
        "inside 90%",
        "best by prediction",
        "predicted ± sd",
    ]
    return table(head, rows)


def _proposals(seeds: Runs, space: MixtureSpace, theirs: dict[str, float]) -> str:
    gp, rows = fit("gp", space, seeds, seed=0), []
    for strategy in (*HEURISTICS, "quadsurface", "gp"):
        first = propose(strategy, space, seeds, np.empty((0, 5)), 1, seed=0)[0]
        mean, sd = gp.predict(first.weights[None])
        rows.append(
            [
                strategy,
                _mixture(first.weights),
                f"{100 * mean[0]:.1f} ± {100 * sd[0]:.1f}",
                f"{100 * theirs[strategy]:.1f}" if strategy in theirs else "",
            ]
        )
    return table(["strategy", "proposes", "gp foresees ± sd", "the paper's run"], rows)


def _mixture(weights: FloatArray) -> str:
    return mixture_text(dict(zip(DOMAINS, map(float, weights), strict=True)))


if __name__ == "__main__":
    main()
