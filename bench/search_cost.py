"""What finding a good mixture costs, in full runs, where cheaper scores can be had.

`python -m bench.search_cost [--only "auto;asha"] [--worlds "offline world;root-5"] [--again]`
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import numpy as np
import typer

from bench import units, world
from bench.intervals import upper_quantile
from bench.priced import EARLY_RHO, MERGED_COST, MERGED_RHO, OFFLINE, priced
from bench.report import IMAGES, table, write_section
from bench.spenders import FANTASIES, KG, OURS, PEERS, SEARCHES, TODAY, Told

SEEDS = 6
CAP = 24.0
"""Full runs' cost after which a search gives up."""
WORLDS = (OFFLINE, "root-5", "quadratic-5")
WITHIN = (0.01, 0.05)
SPENT = (8, 12, 16, 24)
"""Costs at which the regret is shown."""
SLOW = {
    KG: 3,
    "auto": 4,
    "auto, one by one": 4,
    "bayes-quadratic, all channels": 4,
    "auto, steps": 3,
    "auto, early stopping": 3,
}
"""Searches that take seconds to half a minute a proposal have fewer seeds."""


def main(
    only: Annotated[str, typer.Option(help="Searches, with semicolons; all if empty.")] = "",
    worlds: Annotated[str, typer.Option(help="Worlds, with semicolons; all if empty.")] = "",
    again: Annotated[bool, typer.Option(help="Compute stored figures anew.")] = False,
    parallel: Annotated[int, typer.Option()] = 2,
) -> None:
    names = [name for name in only.split(";") if name] or list(SEARCHES)
    where = [name for name in worlds.split(";") if name] or list(WORLDS)
    units.compute("search_cost", search, _units(names, where), again=again, parallel=parallel)
    known = units.stored("search_cost")
    found = {key: known[key] for key in _units(SEARCHES, WORLDS) if key in known}
    draw(found)
    write_section("search_cost", report(found))


def _units(names: Iterable[str], where: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    # Seeds outermost: what is stopped early is a smaller run of all of it.
    return {
        f"{place}/{name}/{seed}": (place, name, seed)
        for seed in range(SEEDS)
        for place in where
        for name in names
        if seed < SLOW.get(name, SEEDS)
    }


def search(place: str, name: str, seed: int) -> units.Figures:
    """One search: the regret of the chosen mixture after what was spent."""
    warnings.filterwarnings("ignore")
    told = Told(priced(place), np.random.default_rng([seed, 1]), seed)
    found = []
    for chosen in SEARCHES[name](told):
        found.append([round(told.spent, 3), told.world.regret(chosen)])
        if told.spent >= CAP:
            break
    return {"regret": found}


# --- report -----------------------------------------------------------------------------------


def needed(figures: units.Figures, within: float) -> float:
    """Cost until the chosen mixture is, and stays, that close to the best; infinite if never."""
    last = np.inf
    for cost, regret in reversed(figures["regret"]):
        if regret > within:
            break
        last = cost
    return float(last)


def _costs(found: Mapping[str, units.Figures], place: str, name: str, within: float) -> list[float]:
    keys = [f"{place}/{name}/{seed}" for seed in range(SEEDS)]
    return sorted(needed(found[key], within) for key in keys if key in found)


def _said(value: float) -> str:
    return "never" if np.isinf(value) else f"{value:.1f}"


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    low, middle, high = (_said(upper_quantile(values, q)) for q in (0.25, 0.5, 0.75))
    return f"{middle} ({low} to {high}), {len(values)}"


def report(found: Mapping[str, units.Figures]) -> str:
    rho = ", ".join(f"{value:g}" for value in EARLY_RHO)
    parts = []
    for within in WITHIN:
        cells = {
            name: [_cell(_costs(found, place, name, within)) for place in WORLDS]
            for name in SEARCHES
        }
        lines = [[name, *line] for name, line in cells.items() if any(line)]
        parts.append(f"Within {within:.0%}:\n\n{table(['search', *WORLDS], lines)}")
    return f"""
Cost, in full runs, until the chosen mixture is, and from then on stays, within 1% or 5% of the best
(as a share of the range): median (quartiles) and number of seeds. "never" is more than {CAP:.0f}.
The offline world is the table of real runs in `bench/data/world`, its first {world.BEGINNING}
mixtures: a run is one of its mixture's two, scores are Out-Scores, and how good a mixture is a
Gaussian process of all their runs says.
The others are emulators with made-up channels: earlier steps that carry over by {rho}, prices by
{MERGED_RHO}. A score at a quarter of the steps costs a quarter, a merged model {MERGED_COST} of a
run; its experts are full runs that the search pays for. This project's searches propose four at a
time, as to four workers, or "one by one", as the peers do. "Steps" may buy runs of half the steps
and continue them; "early stopping" scores the runs that its surrogate chose at half their steps,
pauses those that others beat, and may continue them; "all channels" may buy prices and runs of half
the steps. A blank is a search that was not run there. {_about_kg(found)}

{chr(10).join(f"{part}{chr(10)}" for part in parts)}
![Regret of the chosen mixture by cost](images/search_cost.svg)

{_verdicts(found)}

Regret of the chosen mixture on the offline world, as a share of the range, when so much was spent:
mean over the seeds.

{table(["search", *(f"{spent} runs" for spent in SPENT), "seeds"], _regrets(found))}
"""


def _about_kg(found: Mapping[str, units.Figures]) -> str:
    said = (
        f"{KG} is BoTorch's multi-fidelity knowledge gradient over half and whole runs, with "
        f"{FANTASIES} fantasies and one restart"
    )
    if any(_curves(found, place, KG) for place in WORLDS):
        return (
            f"{said}, so that a proposal takes seconds and not minutes: with more it may do better."
        )
    return f"{said}. It has no row, for none was run to its end: a search takes minutes of a core."


def _regrets(found: Mapping[str, units.Figures]) -> list[list[str]]:
    lines = []
    for name in SEARCHES:
        curves = _curves(found, OFFLINE, name)
        if curves:
            means = [np.mean([_after(curve, spent) for curve in curves]) for spent in SPENT]
            lines.append([name, *(f"{mean:.1%}" for mean in means), str(len(curves))])
    return lines


def _curves(found: Mapping[str, units.Figures], place: str, name: str) -> list[Any]:
    keys = [f"{place}/{name}/{seed}" for seed in range(SEEDS)]
    return [found[key]["regret"] for key in keys if key in found]


def _verdicts(found: Mapping[str, units.Figures]) -> str:
    said = []
    for within in WITHIN:
        for place in WORLDS:
            mine = _costs(found, place, OURS, within)
            others = {
                name: upper_quantile(values, 0.5)
                for name in (*TODAY, *PEERS)
                if (values := _costs(found, place, name, within))
            }
            if not mine or not others:
                continue
            cost, name = upper_quantile(mine, 0.5), min(others, key=lambda name: others[name])
            said.append(
                f"- Within {within:.0%}, {place}: {_said(cost)} against {_said(others[name])} of "
                f"the best other, {name}: {_compared(cost, others[name])}."
            )
    return "Against today's `auto` and the best peer (the aim is half the cost):\n\n" + "\n".join(
        said
    )


def _compared(mine: float, other: float) -> str:
    if np.isinf(mine) or np.isinf(other):
        return "neither gets there" if mine == other else "LOST" if np.isinf(mine) else "it alone"
    said = f"{mine / other:.2f} of it"
    return said if mine <= other else f"LOST, {said}"


def draw(found: Mapping[str, units.Figures]) -> None:
    """Median regret by cost, a panel a world."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5), layout="constrained")
    axes = figure.subplots(1, len(WORLDS))
    costs = np.arange(1, CAP + 1)
    drawn: dict[str, Any] = {}
    for axis, place in zip(axes, WORLDS, strict=True):
        for i, name in enumerate(SEARCHES):
            curves = _curves(found, place, name)
            if not curves:
                continue
            middle = [np.median([_after(curve, cost) for curve in curves]) for cost in costs]
            style = {"linestyle": "--"} if name in PEERS else {"linewidth": 2.2}
            colour = colormaps["tab20"](i % 20)
            (drawn[name],) = axis.plot(costs, np.maximum(middle, 1e-3), color=colour, **style)
        axis.set(title=place, yscale="log", ylim=(8e-4, 1), xlabel="cost in full runs")
        for within in WITHIN:
            axis.axhline(within, color="grey", linewidth=0.8)
    axes[0].set(ylabel="regret, share of the range")
    names = [name for name in SEARCHES if name in drawn]
    lines = [drawn[name] for name in names]
    figure.legend(lines, names, loc="outside lower center", ncols=5, fontsize=8)
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / "search_cost.svg")


def _after(curve: list[list[float]], cost: float) -> float:
    """Regret of what was chosen when so much had been spent; 1 before anything was."""
    return next((regret for spent, regret in reversed(curve) if spent <= cost), 1.0)


if __name__ == "__main__":
    typer.run(main)
