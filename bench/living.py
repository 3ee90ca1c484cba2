"""What a search that is kept saves when a domain comes to it, against starting over.

`python -m bench.living [--seeds 10] [--again]`
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from itertools import product
from typing import Annotated

import numpy as np
import typer

from bench import units
from bench.competitors import competitor
from bench.intervals import upper_quantile
from bench.report import table, write_section
from bench.truths import NOISE, truth
from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace

SEEDS = 10
BEFORE = 12
"""Runs over the domains there were, before the last one comes."""
CAP = 32
"""Runs after that, at most."""
WITHIN = 0.05
"""Share of the range that counts as good."""
STRATEGY = "bayes-quadratic"
TRUTHS = ("quadratic-5", "root-5", "ridge-5")
KEPT, ANEW = "the study goes on", "started over"


def main(
    seeds: Annotated[int, typer.Option(help="Searches of each kind.")] = SEEDS,
    again: Annotated[bool, typer.Option(help="Compute stored figures anew.")] = False,
) -> None:
    wanted = {
        f"{place}/{how}/{seed}": (place, how, seed)
        for seed, place, how in product(range(seeds), TRUTHS, (KEPT, ANEW))
    }
    found = units.compute("living", search, wanted, again=again)
    write_section("living", report(found, seeds))


@cache
def newcomer(place: str) -> int:
    """The domain that comes: the one that the best mixture has most of."""
    of = truth(place)
    rng = np.random.default_rng(0)
    best = of.space.maximise(of.score, rng, also=of.space.uniform[None])
    return int(np.argmax(best))


def search(place: str, how: str, seed: int) -> units.Figures:
    """One search: the regret of the chosen mixture after each number of runs since the domain came.

    Both have had `BEFORE` runs without it; who starts over does not know them.
    """
    warnings.filterwarnings("ignore")
    of, who, rng = truth(place), competitor(STRATEGY), np.random.default_rng([seed, 2])
    everything, upper = of.space, np.ones(of.space.m)
    upper[newcomer(place)] = 0.0
    without = MixtureSpace(everything.domains, np.zeros(everything.m), upper)
    X, y = np.empty((0, everything.m)), np.empty(0)
    regret: dict[str, float] = {}
    space, n_before = without, 0
    while len(y) - n_before < CAP:
        if space is without and len(y) == BEFORE:
            space = everything
            if how == ANEW:
                X, y = X[:0], y[:0]
            n_before = len(y)
        (new,) = who.ask(space, _runs(X, y), 1, 1000 * seed + len(y))
        X, y = np.vstack([X, new]), np.append(y, of.score(new[None]) + NOISE * rng.normal())
        if space is everything:
            n = len(y) - n_before
            regret[str(n)] = of.regret(who.choose(space, _runs(X, y), seed))
    return {"regret": regret}


def _runs(X: FloatArray, y: FloatArray) -> Runs:
    nothing = np.full(len(y), np.nan)
    return Runs(X, y, np.full(len(y), NOISE), nothing, nothing)


def needed(figures: units.Figures) -> float:
    """Runs since the domain came until the chosen mixture is, and stays, good; else infinite."""
    last = np.inf
    for n in sorted(map(int, figures["regret"]), reverse=True):
        if figures["regret"][str(n)] > WITHIN:
            break
        last = n
    return last


def report(found: Mapping[str, units.Figures], seeds: int) -> str:
    rows, said = [], []
    for place in TRUTHS:
        middle: dict[str, float] = {}
        cells: list[str] = []
        for how in (KEPT, ANEW):
            values = sorted(needed(found[f"{place}/{how}/{seed}"]) for seed in range(seeds))
            low, middle[how], high = (upper_quantile(values, q) for q in (0.25, 0.5, 0.75))
            cells.append(f"{_said(middle[how])} ({_said(low)} to {_said(high)})")
        rows.append([place, *cells])
        said.append(f"- {place}: {_verdict(middle[KEPT], middle[ANEW])}")
    return f"""
A search by `{STRATEGY}`, one run at a time, has had {BEFORE} runs over four domains when a fifth
comes: the one that the best mixture has most of. Runs from then on until the chosen mixture is,
and stays, within {WITHIN:.0%} of the best (of the range that uniform mixtures span): median over
{seeds} seeds (quartiles), "never" means more than {CAP}. The study that goes on was edited, and
knows its old runs, which have weight 0 on the new domain; the other knows nothing.

{table(["truth", KEPT, ANEW], rows)}

The aim is half the runs of starting over:

{chr(10).join(said)}
"""


def _said(value: float) -> str:
    return "never" if np.isinf(value) else f"{value:.0f}"


def _verdict(kept: float, anew: float) -> str:
    if np.isinf(kept):
        return f"LOST: the study that goes on does not get there, {_said(anew)} runs started over."
    if np.isinf(anew):
        return f"{kept:.0f} runs, and started over it does not get there."
    start = "" if kept <= anew / 2 else "MISSED: "
    return f"{start}{kept:.0f} runs for {anew:.0f}, {kept / anew:.2f} of them."


if __name__ == "__main__":
    typer.run(main)
