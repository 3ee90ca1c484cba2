"""How well searches keep floors, as surely as they state, and find fronts.

`python -m bench.goals [--only bayes-quadratic,botorch] [--worlds "offline world;root emulator"]`
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Annotated, Any

import numpy as np
import typer

from bench import intervals, units, world
from bench.goal_peers import OURS, PURSUERS, SLOW
from bench.goal_worlds import WORLDS, Judge, floors_goal, front_goal, world_of
from bench.report import table, write_section
from service.search.counts import counted
from service.search.goals import Goal
from service.search.runs import Runs
from service.search.space import FloatArray

SEEDS = 10
MANY = 30
"""Seeds of the search whose stated probabilities are to be judged: a share needs many."""
BATCH = 4
START = 6
"""The uniform mixture and random ones, the same for all that search with a seed."""
LOOKED_AT = (10, 14, 18, 22)
PROBABILITY = 0.9
CLOSE = 0.05
"""As far from the share that truly keeps the floors may what is stated be."""
FRONT, FLOORS = "front", "floors"


def main(
    only: Annotated[str, typer.Option(help="Searches, with commas; all if empty.")] = "",
    worlds: Annotated[str, typer.Option(help="Worlds, with semicolons; all if empty.")] = "",
    seeds: Annotated[int, typer.Option(help="Seeds, at most, the first ones.")] = MANY,
    again: Annotated[bool, typer.Option(help="Compute stored figures anew.")] = False,
    parallel: Annotated[int, typer.Option()] = 2,
) -> None:
    names = [name for name in only.split(",") if name] or list(PURSUERS)
    where = [name for name in worlds.split(";") if name] or list(WORLDS)
    wanted = _units(names, where, seeds)
    units.compute("goals", search, wanted, again=again, parallel=parallel)
    known = units.stored("goals")
    found = {key: known[key] for key in _units(PURSUERS, WORLDS, MANY) if key in known}
    write_section("goals", report(found))


def _units(names: Iterable[str], where: Iterable[str], seeds: int) -> dict[str, tuple[Any, ...]]:
    # Seeds outermost: what is stopped early is a smaller run of all of it.
    return {
        f"{what}/{place}/{name}/{seed}": (what, place, name, seed)
        for seed, what, place, name in product(range(seeds), (FLOORS, FRONT), where, names)
        if seed < _most_seeds(what, name)
    }


def _most_seeds(what: str, name: str) -> int:
    return MANY if (what, name) == (FLOORS, OURS[0]) else SLOW.get(name, SEEDS)


def search(what: str, place: str, name: str, seed: int) -> units.Figures:
    """One search; after each batch the share of the true hypervolume, or of what it would train
    whether that truly keeps its floors, how far below the best that does it is in points, and how
    likely it was stated to keep them."""
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
            chosen = choose(goal, world.space, _runs(goal, X, scores), seed)
            trained = world.runnable(chosen.weights)
            found[str(len(X))] = [judge.keeps(trained), judge.regret(trained), chosen.stated]
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
    keys = [f"{what}/{place}/{name}/{seed}" for seed in range(MANY)]
    each = [found[key]["after"] for key in keys if key in found]
    sizes = [str(n)] if n is not None else [str(size) for size in LOOKED_AT]
    return [after[size] for after in each for size in sizes if size in after]


def report(found: Mapping[str, units.Figures]) -> str:
    return f"""
Every search starts from the same {START} runs of a seed, equal weights first, and asks for batches
of {BATCH}. The offline world is the first {world.BEGINNING} mixtures of the table of real runs in
`bench/data/world`, which alone can be run; how good one truly is, a Gaussian process of all
their runs says for each benchmark. Its
emulators are quadratics in the weights, or their roots, fitted to each of the seven benchmarks,
over all mixtures, with the noise that two runs of a mixture differ by: surfaces of the kind that
`bayes-quadratic` averages over, which favours it. `botorch` is BoTorch's default model with
qLogNEHVI, or qLogNEI with outcome constraints (64 samples, 2 restarts, 40 steps); `ax` is Ax's
client with its default strategy, told the same objectives and outcome constraints; the others are
this project's and Optuna's. Who is not named, or has a blank, was not run there: `ax` takes 7 to
10 s of a core for each mixture it proposes, two minutes a search, and its client has no setting
that makes that less.

**Floors.** Out-Score, with floors within 2 points of what equal weights score under two benchmarks
that the seed draws, each to hold with {PROBABILITY:.0%}. Of the recommendations after
{", ".join(map(str, LOOKED_AT))} runs: the share that truly keeps both, with the 95% interval that
so many independent seeds leave (those of one seed count as one); how likely they were stated to
keep both; and how far below the best mixture that keeps them they are, in points of 100 (means).
Optuna, Ax and random train the best run that broke no floor, and state nothing:

{_floors(found)}

{_calibration(found)}

What is asked is that {PROBABILITY:.0%} be kept at least; what is stated is mostly more, for the
best mixture often lies well above its floors.

**Fronts.** Out-Score against In-Score: true hypervolume of what was run, as a share of that below
the true front (mean, and number of seeds):

{_fronts(found)}

{_verdicts(found)}
"""


def _floors(found: Mapping[str, units.Figures]) -> str:
    rows = []
    for place, name in product(WORLDS, PURSUERS):
        each = _all(found, FLOORS, place, name, None)
        if not each:
            continue
        off = [regret for _, regret, _ in each if np.isfinite(regret)]
        share, (low, high), n = _kept(each)
        stated = _stated(each)
        rows.append(
            [
                place,
                name,
                str(n),
                f"{share:.0%} ({low:.0%} to {high:.0%})",
                "" if stated is None else f"{stated:.0%}",
                f"{np.mean(off):.1f}",
            ]
        )
    return table(["world", "search", "seeds", "truly kept", "stated", "below the best"], rows)


def _kept(each: list[Any]) -> tuple[float, tuple[float, float], int]:
    """Share of recommendations that truly keep their floors, its interval, and number of seeds."""
    n = len(each) // len(LOOKED_AT)
    share = float(np.mean([is_kept for is_kept, _, _ in each]))
    return share, intervals.share(share * n, n), n


def _stated(each: list[Any]) -> float | None:
    """Mean of what is stated; None by who does not say."""
    said = [stated for _, _, stated in each if stated is not None]
    return float(np.mean(said)) if said else None


def _calibration(found: Mapping[str, units.Figures]) -> str:
    """Whether what is stated is as often true, and what is asked holds where it is stated to."""
    said = []
    for place, name in product(WORLDS, OURS):
        each = _all(found, FLOORS, place, name, None)
        stated = _stated(each)
        if stated is None:
            continue
        share, (low, high), n = _kept(each)
        verdict = "met"
        if abs(share - stated) > CLOSE:
            verdict = f"MISSED, too {'careful' if share > stated else 'sure'}"
            if low <= stated <= high:
                verdict += ", though the interval holds what is stated"
        sure = [is_kept for is_kept, _, by in each if by >= PROBABILITY]
        asked = ""
        if sure:
            held = float(np.mean(sure))
            asked = (
                f" Of the {len(sure) / len(each):.0%} that it states to keep them with "
                f"{PROBABILITY:.0%}, as asked, or more, {held:.0%} do"
                f"{'' if held >= PROBABILITY else ': FEWER'}."
            )
        said.append(
            f"- Floors of the {place}: {name} states {stated:.0%} and keeps {share:.0%} "
            f"({low:.0%} to {high:.0%}, {counted(n, 'seed')}). "
            f"The aim, within {100 * CLOSE:.0f} points of what is stated, is {verdict}.{asked}"
        )
    return "\n".join(said)


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
    """How far above each other search, on the seeds that both have."""
    said = []
    mine, last = OURS[0], LOOKED_AT[-1]
    for place in WORLDS:
        volumes = {
            name: {
                seed: found[key]["after"][str(last)]
                for seed in range(MANY)
                if (key := f"{FRONT}/{place}/{name}/{seed}") in found
            }
            for name in PURSUERS
        }
        leads = {
            name: [own - values[seed] for seed, own in volumes[mine].items() if seed in values]
            for name, values in volumes.items()
            if name != mine
        }
        above = {name: 100 * float(np.mean(each)) for name, each in leads.items() if each}
        if not above:
            continue
        each = [f"{name} {above[name]:+.1f} ({len(leads[name])})" for name in above]
        lost = [name for name, lead in above.items() if round(lead, 1) < 0]
        missing = [name for name, values in volumes.items() if not values]
        said.append(
            f"- Front of the {place} after {last} runs, points that {mine} is above the others on "
            f"the seeds of both (so many): {', '.join(each)}"
            + (f"; LOST to {', '.join(lost)}" if lost else "")
            + (f"; not run there: {', '.join(missing)}." if missing else ".")
        )
    return "\n".join(said)


if __name__ == "__main__":
    typer.run(main)
