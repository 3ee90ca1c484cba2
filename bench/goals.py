"""How well searches keep floors and find fronts.

`python -m bench.goals [--only bayes-quadratic,botorch] [--worlds "offline world;root emulator"]`
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Annotated, Any

import numpy as np
import typer

from bench import units
from bench.goal_peers import PURSUERS, SLOW
from bench.goal_worlds import WORLDS, Judge, floors_goal, front_goal, world_of
from bench.report import table, write_section
from service.search.goals import Goal
from service.search.runs import Runs
from service.search.space import FloatArray

SEEDS = 10
BATCH = 4
START = 6
"""The uniform mixture and random ones, the same for all that search with a seed."""
LOOKED_AT = (10, 14, 18, 22)
PROBABILITY = 0.9
FRONT, FLOORS = "front", "floors"


def main(
    only: Annotated[str, typer.Option(help="Searches, with commas; all if empty.")] = "",
    worlds: Annotated[str, typer.Option(help="Worlds, with semicolons; all if empty.")] = "",
    seeds: Annotated[int, typer.Option(help="Seeds, the first ones.")] = SEEDS,
    again: Annotated[bool, typer.Option(help="Compute stored figures anew.")] = False,
    parallel: Annotated[int, typer.Option()] = 2,
) -> None:
    names = [name for name in only.split(",") if name] or list(PURSUERS)
    where = [name for name in worlds.split(";") if name] or list(WORLDS)
    wanted = _units(names, where, seeds)
    units.compute("goals", search, wanted, again=again, parallel=parallel)
    known = units.stored("goals")
    found = {key: known[key] for key in _units(PURSUERS, WORLDS, SEEDS) if key in known}
    write_section("goals", report(found))


def _units(names: Iterable[str], where: Iterable[str], seeds: int) -> dict[str, tuple[Any, ...]]:
    # Seeds outermost: what is stopped early is a smaller run of all of it.
    return {
        f"{what}/{place}/{name}/{seed}": (what, place, name, seed)
        for seed, what, place, name in product(range(seeds), (FLOORS, FRONT), where, names)
        if seed < SLOW.get(name, SEEDS)
    }


def search(what: str, place: str, name: str, seed: int) -> units.Figures:
    """One search; after each batch the share of the true hypervolume, or whether what it would
    train truly keeps its floors, and how far below the best that does in points."""
    warnings.filterwarnings("ignore")
    goal = front_goal() if what == FRONT else floors_goal(seed, PROBABILITY)
    judge = Judge(world_of(place), goal)
    world = judge.world
    ask, choose = PURSUERS[name]
    rng = np.random.default_rng([seed, 1])
    X = np.vstack([world.space.uniform[None], world.space.sample(START - 1, rng)])
    scores = np.array([world.run(x, rng) for x in X])
    found: dict[str, Any] = {}
    while len(X) < LOOKED_AT[-1]:
        runs = _runs(goal, X, scores)
        new = ask(goal, world.space, runs, BATCH, 1000 * seed + len(X))
        new = np.array([world.runnable(x) for x in new])
        X = np.vstack([X, new])
        scores = np.vstack([scores, [world.run(x, rng) for x in new]])
        if what == FRONT:
            found[str(len(X))] = judge.volume(X)
        else:
            chosen = world.runnable(choose(goal, world.space, _runs(goal, X, scores), seed))
            found[str(len(X))] = [judge.keeps(chosen), judge.regret(chosen)]
    return {"after": found}


def _runs(goal: Goal, X: FloatArray, scores: FloatArray) -> Runs:
    """Listed by the goal's first output; sampling errors are not told, runs share their items."""
    share = goal.shares[0]
    unknown = np.full(len(X), np.nan)
    return Runs(
        X, scores @ share, unknown, unknown, unknown, scores, np.full(scores.shape, np.nan), share
    )


# --- report -----------------------------------------------------------------------------------


def _all(
    found: Mapping[str, units.Figures], what: str, place: str, name: str, n: int | None
) -> list[Any]:
    keys = [f"{what}/{place}/{name}/{seed}" for seed in range(SEEDS)]
    each = [found[key]["after"] for key in keys if key in found]
    sizes = [str(n)] if n is not None else [str(size) for size in LOOKED_AT]
    return [after[size] for after in each for size in sizes if size in after]


def report(found: Mapping[str, units.Figures]) -> str:
    return f"""
Every search starts from the same {START} runs of a seed, equal weights first, and asks for batches
of {BATCH}. The offline world is the table of real runs in `bench/data/world`, whose mixtures alone
can be run; how good one truly is, a Gaussian process of all runs says for each benchmark. Its
emulators are quadratics in the weights, or their roots, fitted to each of the seven benchmarks,
over all mixtures, with the noise that two runs of a mixture differ by. `botorch` is BoTorch's
default model with qLogNEHVI, or qLogNEI with outcome constraints; the others are this project's and
Optuna's. Number of seeds in brackets; a blank is a search that was not run there.

**Floors.** Out-Score, with floors within 2 points of what equal weights score under two benchmarks
that the seed draws, each to hold with {PROBABILITY:.0%}. Share of recommendations after
{", ".join(map(str, LOOKED_AT))} runs that truly keep both (the aim is {PROBABILITY:.0%} within 5
points; a quarter as many are independent), and how far below the best mixture that keeps them they
are, in points of 100 (mean):

{_floors(found)}

**Fronts.** Out-Score against In-Score: true hypervolume of what was run, as a share of that below
the true front (mean):

{_fronts(found)}

{_verdicts(found)}
"""


def _floors(found: Mapping[str, units.Figures]) -> str:
    rows = []
    for name in PURSUERS:
        cells = []
        for place in WORLDS:
            each = _all(found, FLOORS, place, name, None)
            kept = [is_kept for is_kept, _ in each]
            off = [regret for _, regret in each if np.isfinite(regret)]
            n = len(each) // len(LOOKED_AT)
            cells.append(f"{np.mean(kept):.0%}, {np.mean(off):.1f} ({n})" if each else "")
        rows.append([name, *cells])
    return table(["search", *WORLDS], rows)


def _fronts(found: Mapping[str, units.Figures]) -> str:
    sizes = (LOOKED_AT[0], LOOKED_AT[-1])
    head = ["search", *(f"{place}, {n} runs" for place, n in product(WORLDS, sizes))]
    rows = []
    for name in PURSUERS:
        cells = []
        for place, n in product(WORLDS, sizes):
            each = _all(found, FRONT, place, name, n)
            cells.append(f"{100 * np.mean(each):.1f}% ({len(each)})" if each else "")
        rows.append([name, *cells])
    return table(head, rows)


def _verdicts(found: Mapping[str, units.Figures]) -> str:
    said = []
    mine = "bayes-quadratic"
    for place in WORLDS:
        each = [kept for kept, _ in _all(found, FLOORS, place, mine, None)]
        if each:
            share = float(np.mean(each))
            met = "met" if abs(share - PROBABILITY) <= 0.05 else "MISSED"
            said.append(
                f"- Floors of the {place} kept by {mine}: {share:.0%}; the aim is {met} (of "
                f"{len(each) // len(LOOKED_AT)} searches, so by chance as well)."
            )
    for place in WORLDS:
        missing = [name for name in PURSUERS if not _all(found, FRONT, place, name, LOOKED_AT[-1])]
        means = {
            name: float(np.mean(values))
            for name in PURSUERS
            if (values := _all(found, FRONT, place, name, LOOKED_AT[-1]))
        }
        others = {name: value for name, value in means.items() if name != mine}
        if mine in means and others:
            best = max(others, key=lambda name: others[name])
            won = "" if means[mine] >= others[best] else "LOST: "
            said.append(
                f"- {won}Front of the {place} after {LOOKED_AT[-1]} runs: {mine} "
                f"{100 * means[mine]:.1f}%, the best other, {best}, {100 * others[best]:.1f}%"
                + (f"; not run there: {', '.join(missing)}." if missing else ".")
            )
    return "\n".join(said)


if __name__ == "__main__":
    typer.run(main)
