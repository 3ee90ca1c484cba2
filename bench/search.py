"""How many runs it takes to find a good mixture.

`python -m bench.search [--only auto,random] [--truths root-5] [--again]`
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Annotated, Any

import numpy as np
import typer

from bench import units
from bench.competitors import competitor
from bench.intervals import upper_quantile
from bench.report import IMAGES, table, write_section
from bench.truths import NOISE, TRUTHS, truth
from service.search.runs import Runs
from service.search.space import FloatArray

SEEDS = 10
LOOKED_AT = (4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 80, 96)
"""Numbers of runs after which the chosen mixture is looked at."""
WITHIN = (0.01, 0.05)
"""Shares of the range that count as good."""
OURS = ("auto", "bayes-quadratic")
PEERS = ("random", "quadsurface", "regmix", "optuna-tpe", "optuna-gp", "ax")
ONE_BY_ONE = ("quadratic-5", "root-5", "ridge-5")
SLOW = {"ax": ("quadratic-5", "root-5")}
"""Competitors that take seconds a proposal run on these truths only, one by one."""


def main(
    only: Annotated[str, typer.Option(help="Competitors, with commas; all if empty.")] = "",
    truths: Annotated[str, typer.Option(help="Truths, with commas; all if empty.")] = "",
    again: Annotated[bool, typer.Option(help="Compute stored figures anew.")] = False,
) -> None:
    names = [name for name in only.split(",") if name] or [*OURS, *PEERS]
    where = [name for name in truths.split(",") if name] or list(TRUTHS)
    units.compute("search", search, _units(list(names), where), again=again)
    known = units.stored("search")
    found = {key: known[key] for key in _units([*OURS, *PEERS], TRUTHS) if key in known}
    draw(found)
    write_section("search", report(found))


def _units(names: Iterable[str], where: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    # Seeds outermost: what is stopped early is a smaller run of all of it.
    return {
        f"{place}/{batch}/{name}/{seed}": (place, batch, name, seed)
        for seed, place, batch, name in product(range(SEEDS), where, (1, 8), names)
        if _is_run(place, batch, name)
    }


def _is_run(place: str, batch: int, name: str) -> bool:
    if name in SLOW:
        return batch == 1 and place in SLOW[name]
    return batch == 8 or place in ONE_BY_ONE


def cap(place: str, batch: int) -> int:
    """Runs after which a search gives up."""
    m = truth(place).space.m
    if batch == 1:
        return 32
    return 40 if m <= 5 else 64 if m <= 8 or place == "pool-1B" else 96


def search(place: str, batch: int, name: str, seed: int) -> units.Figures:
    """One search: the regret of the chosen mixture after some numbers of runs."""
    warnings.filterwarnings("ignore")
    where, who = truth(place), competitor(name)
    rng = np.random.default_rng([seed, 1])
    X, y = np.empty((0, where.space.m)), np.empty(0)
    regret, start = {}, time.perf_counter()
    while len(y) < cap(place, batch):
        runs = _runs(X, y)
        asked = who.ask(where.space, runs, batch, 1000 * seed + len(y))
        new = np.array([where.runnable(weights) for weights in asked])
        X = np.vstack([X, new])
        y = np.concatenate([y, where.score(new) + NOISE * rng.normal(size=len(new))])
        if len(y) in LOOKED_AT:
            chosen = who.choose(where.space, _runs(X, y), seed)
            regret[str(len(y))] = where.regret(chosen)
    return {"regret": regret, "seconds": time.perf_counter() - start}


def _runs(X: FloatArray, y: FloatArray) -> Runs:
    nothing = np.full(len(y), np.nan)
    return Runs(X, y, np.full(len(y), NOISE), nothing, nothing)


# --- report -----------------------------------------------------------------------------------


def needed(figures: units.Figures, within: float) -> float:
    """Runs until the chosen mixture is, and stays, that close to the best; infinite if never."""
    last = np.inf
    for n in sorted(map(int, figures["regret"]), reverse=True):
        if figures["regret"][str(n)] > within:
            break
        last = n
    return last


def report(found: Mapping[str, units.Figures]) -> str:
    return f"""
Runs until the chosen mixture is, and from then on stays, within 1% of the best (of the range that
uniform mixtures span), or 5%: median over {SEEDS} seeds (quartiles), looked at after
{", ".join(map(str, LOOKED_AT))} runs. "never" means more than the cap: 40 runs up to 5 domains,
64 up to 8 and for pool-1B, else 96; 32 one by one. The range is 10 points, a run's noise 0.6 and
known. Who has a model chooses its highest prediction, the others their best run. In a pool Optuna
is given the row nearest to what it proposes. Ax is run only where it says so: it takes seconds a
proposal.

Within 1%, batches of 8:

{_table(found, 8, 0.01)}

Within 1%, one by one:

{_table(found, 1, 0.01)}

Within 5%, batches of 8:

{_table(found, 8, 0.05)}

Within 5%, one by one:

{_table(found, 1, 0.05)}

![Regret of the chosen mixture against runs](images/search.svg)

{_verdict(found)}

{chr(10).join(f"- `{name}`: {what}." for name, what in TRUTHS.items())}
"""


def _all(
    found: Mapping[str, units.Figures], place: str, batch: int, name: str, within: float
) -> list[float]:
    keys = [f"{place}/{batch}/{name}/{seed}" for seed in range(SEEDS)]
    return sorted(needed(found[key], within) for key in keys if key in found)


def _table(found: Mapping[str, units.Figures], batch: int, within: float) -> str:
    names = [*OURS, *PEERS]
    rows = []
    for place in TRUTHS:
        cells = [_cell(_all(found, place, batch, name, within)) for name in names]
        if any(cells):
            rows.append([place, *cells])
    return table(["truth", *names], rows)


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    low, middle, high = (upper_quantile(values, q) for q in (0.25, 0.5, 0.75))
    return f"{_said(middle)} ({_said(low)} to {_said(high)})"


def _said(value: float) -> str:
    return "never" if np.isinf(value) else f"{value:.0f}"


def _verdict(found: Mapping[str, units.Figures]) -> str:
    said = []
    for within, batch, place in product(WITHIN, (8, 1), TRUTHS):
        ours = _all(found, place, batch, "auto", within)
        theirs = {
            name: upper_quantile(values, 0.5)
            for name in PEERS
            if (values := _all(found, place, batch, name, within))
        }
        if not ours or not theirs:
            continue
        best = min(theirs, key=lambda name: theirs[name])
        mine, other = upper_quantile(ours, 0.5), theirs[best]
        if np.isinf(mine) and np.isinf(other):
            what = "neither gets there"
        elif np.isinf(mine):
            what = f"LOST: {best} needs {other:.0f}, auto does not get there"
        elif np.isinf(other):
            what = f"auto needs {mine:.0f}, no peer gets there within {cap(place, batch)}"
        else:
            what = f"auto needs {mine:.0f}, {best} {other:.0f}: {mine / other:.2f} of it"
            what = what if mine <= other else f"LOST: {what}"
        said.append(f"- Within {within:.0%}, {place}, batches of {batch}: {what}.")
    return "Against the best peer (the aim is half its runs):\n\n" + "\n".join(said)


def draw(found: Mapping[str, units.Figures]) -> None:
    """Median regret by runs, batches of 8, a panel a truth."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 9), layout="constrained")
    axes = figure.subplots(3, 3).ravel()
    for axis, place in zip(axes, TRUTHS, strict=False):
        for name in (*OURS, *PEERS):
            curves = [
                found[key]["regret"]
                for seed in range(SEEDS)
                if (key := f"{place}/8/{name}/{seed}") in found
            ]
            if not curves:
                continue
            sizes = sorted(map(int, curves[0]))
            middle = [np.median([curve[str(n)] for curve in curves]) for n in sizes]
            style = {"linewidth": 2.2} if name in OURS else {"linewidth": 1, "linestyle": "--"}
            axis.plot(sizes, np.maximum(middle, 1e-3), label=name, **style)
        for within in WITHIN:
            axis.axhline(within, color="grey", linewidth=0.8)
        axis.set(title=place, yscale="log", ylim=(8e-4, 1), xlabel="runs")
    axes[0].set(ylabel="regret, share of the range")
    axes[0].legend(fontsize=7)
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / "search.svg")


if __name__ == "__main__":
    typer.run(main)
