"""What cheap evidence adds: full scores of mixtures not run, foreseen with it and without.

`python -m bench.evidence [--parallel 2] [--again]`
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import scipy
import typer

from bench import units, world
from bench.regmix import TARGETS, load
from bench.report import table, write_section
from service.schemas.scores import Measurement, Score
from service.search import intervals
from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates import fit
from trainer.tiny.sizes import ITEMS
from trainer.tiny.world import BENCHMARKS

SURROGATE = "bayes-quadratic"
SIZES = (4, 8, 16, 32)
DRAWS = 10
"""Of the runs that are told."""
NONE = "none"
REGMIX = {"60M": ("test_60m", "train_1m", "1M"), "1B": ("test_1B", "test_60m", "60M")}
"""Full runs, cheap runs, and what these are called."""
N_CHEAP = 128
LEAST_TESTED = 20
WORLD = "offline world"
STEPS = (6, 12, 18)
WORLD_KINDS = (NONE, *(f"step-{step}" for step in STEPS), "merged", "all")
WORLD_TARGETS = ("out", "in")
N_MERGED = 60
STOPPED = 2
"""Runs that were stopped early, for each full run."""
COMPARED = (("60M", "1M"), ("1B", "60M"), (WORLD, "merged"), (WORLD, "all"))
FEW, MANY = 8, 32
"""With cheap evidence few full runs are to be as good as many without."""
COVERAGE = (0.85, 0.95)
MOST_LOST = 0.03


def main(
    parallel: Annotated[int, typer.Option()] = 2,
    again: Annotated[bool, typer.Option(help="Compute stored figures anew.")] = False,
) -> None:
    todo = _units()
    found = units.compute("evidence", measure, todo, again=again, parallel=parallel)
    write_section("evidence", report(summarise(found)))


def _units() -> dict[str, tuple[Any, ...]]:
    places = [
        (part, n, target, kind)
        for part, (full, _, cheap) in REGMIX.items()
        for n in SIZES
        if len(load(full).weights) - n >= LEAST_TESTED
        for target in TARGETS
        for kind in (NONE, cheap)
    ]
    n_finished = len(_finished())
    places += [
        (WORLD, n, target, kind)
        for n in SIZES
        if n_finished - (1 + STOPPED) * n >= LEAST_TESTED
        for target in WORLD_TARGETS
        for kind in WORLD_KINDS
    ]
    return {
        f"{part}/{n}/{draw}/{target}/{kind}": (part, n, draw, target, kind)
        for part, n, target, kind in places
        for draw in range(DRAWS)
    }


def measure(part: str, n: int, draw: int, target: str, kind: str) -> units.Figures:
    """The surrogate fitted to n full runs and what is cheap, tested on full runs not seen."""
    warnings.filterwarnings("ignore")
    rng = np.random.default_rng([n, draw])
    told = _of_world if part == WORLD else _of_regmix
    runs, X, actual = told(part, n, target, kind, rng)
    space = MixtureSpace.simplex([str(i) for i in range(runs.m)])
    fitted = fit(SURROGATE, space, runs, seed=0)
    mean, sd = fitted.predict(X, noisy=True)
    carried = {name: one._asdict() for name, one in fitted.channels.items()}
    return {
        "spearman": float(scipy.stats.spearmanr(mean, actual).statistic),
        "coverage": float((np.abs(actual - mean) <= intervals.Z90 * sd).mean()),
        "channels": carried,
    }


Told = tuple[Runs, FloatArray, FloatArray]
"""What is fitted, and (k, m) mixtures with (k,) scores to be foreseen; more is better."""


def _of_regmix(part: str, n: int, target: str, kind: str, rng: np.random.Generator) -> Told:
    full, cheap, name = (load(REGMIX[part][0]), load(REGMIX[part][1]), REGMIX[part][2])
    order = rng.permutation(len(full.weights))
    some = rng.permutation(len(cheap.weights))[:N_CHEAP]
    channels = {name: _runs(cheap.weights[some], -cheap.losses[target][some])}
    runs = _runs(
        full.weights[order[:n]],
        -full.losses[target][order[:n]],
        channels={} if kind == NONE else channels,
    )
    return runs, full.weights[order[n:]], -full.losses[target][order[n:]]


def _finished() -> dict[str, dict[int, world.Scored]]:
    """Whole runs of the world by mixture and seed, of mixtures that have all their runs."""
    found: dict[str, dict[int, world.Scored]] = defaultdict(dict)
    for one in world.load()[1]:
        if one.kind == "run" and one.is_last:
            found[one.mixture][one.seed] = one
    most = max(map(len, found.values()), default=0)
    return {name: seeds for name, seeds in found.items() if len(seeds) == most}


def _of_world(part: str, n: int, target: str, kind: str, rng: np.random.Generator) -> Told:
    """One seed of each of n mixtures; the others, but those that were stopped, are foreseen."""
    mixtures, scored = world.load()
    full = _finished()
    names = [list(full)[i] for i in rng.permutation(len(full))]
    started, rest = names[: (1 + STOPPED) * n], names[(1 + STOPPED) * n :]
    seed_of = {name: int(rng.choice(list(full[name]))) for name in started}
    wanted = [f"step-{step}" for step in STEPS] + ["merged"] if kind == "all" else [kind]
    channels = {}
    for channel in wanted:
        if channel == NONE:
            continue
        if channel == "merged":
            seed = min(one.seed for one in scored if one.kind == "merged")
            priced = [one for one in scored if one.kind == "merged" and one.seed == seed]
            rows = [priced[i] for i in rng.permutation(len(priced))[:N_MERGED]]
            run = np.full(len(rows), -1)
        else:
            step = int(channel.removeprefix("step-"))
            rows = [
                one
                for one in scored
                if one.kind == "run"
                and (one.step, one.is_last) == (step, False)
                and seed_of.get(one.mixture) == one.seed
            ]
            run = np.array([started.index(one.mixture) for one in rows])
        X = np.array([mixtures[one.mixture] for one in rows])
        channels[channel] = _scored(X, rows, target, run)
    told = [full[name][seed_of[name]] for name in started[:n]]
    X = np.array([mixtures[name] for name in started[:n]])
    runs = _scored(X, told, target, np.arange(n), channels)
    X = np.array([mixtures[name] for name in rest for _ in full[name]])
    actual = [one.scores[target] for name in rest for one in full[name].values()]
    return runs, X, np.array(actual)


def _scored(
    X: FloatArray,
    rows: Sequence[world.Scored],
    target: str,
    run: Any,
    channels: Mapping[str, Runs] | None = None,
) -> Runs:
    """With the sampling errors that the service would know."""
    weights = {name: of for name, (group, of) in BENCHMARKS.items() if group == target}
    each = [
        Score.weighted(
            [
                Measurement(benchmark=name, score=one.scores[name], samples=ITEMS[name])
                for name in weights
            ],
            weights,
        )
        for one in rows
    ]
    y, sampling = np.array([(score.value, score.se) for score in each]).reshape(-1, 2).T
    return _runs(X, y, run, channels, sampling)


def _runs(
    X: FloatArray,
    y: FloatArray,
    run: Any = (),
    channels: Mapping[str, Runs] | None = None,
    sampling: FloatArray | None = None,
) -> Runs:
    unknown = np.full(len(y), np.nan)
    known = unknown if sampling is None else sampling
    return Runs(X, y, known, unknown, unknown, run=run, channels=channels or {})


# --- report -----------------------------------------------------------------------------------

Rows = dict[tuple[str, int, str], dict[str, float]]


def summarise(found: Mapping[str, units.Figures]) -> Rows:
    """Means over draws and targets, by table, size and kind of evidence."""
    groups: dict[tuple[str, int, str], list[units.Figures]] = defaultdict(list)
    for key, figures in found.items():
        part, n, _, _, kind = key.split("/")
        groups[part, int(n), kind].append(figures)
    rows: Rows = {}
    for key, group in groups.items():
        rows[key] = {
            figure: float(np.mean([each[figure] for each in group]))
            for figure in ("spearman", "coverage")
        }
        channels = [one for each in group for one in each["channels"].values()]
        for figure in ("rho", "worth_in_runs"):
            if channels and len(group[0]["channels"]) == 1:
                rows[key][figure] = float(np.mean([one[figure] for one in channels]))
    return rows


def report(rows: Rows) -> str:
    head = ["full runs", "evidence", "Spearman", "inside 90%", "rho", "worth in runs"]
    lines = [
        [
            f"{part}, n = {n}",
            kind,
            f"{row['spearman']:.2f}",
            f"{row['coverage']:.2f}",
            f"{row['rho']:.2f}" if "rho" in row else "",
            f"{row['worth_in_runs']:.1f}" if "rho" in row else "",
        ]
        for (part, n, kind), row in sorted(rows.items(), key=_place)
    ]
    return f"""
Full scores of mixtures that were not run in full, foreseen by `{SURROGATE}` after n full runs, with
each kind of cheap evidence and without: means over {DRAWS} draws and two scores a table. RegMix has
{N_CHEAP} runs of a smaller model, of other mixtures; the offline world {N_MERGED} prices of merged
models, or {STOPPED} runs stopped at a step for each full run, whose own early scores count too.
Scores of the offline world come with the sampling errors of their items, as the service tells them;
of RegMix none are known.

{table(head, lines)}

{_verdicts(rows)}
"""


def _place(item: tuple[tuple[str, int, str], Any]) -> tuple[int, int, int]:
    (part, n, kind), _ = item
    kinds = (*WORLD_KINDS[:1], *(cheap for _, _, cheap in REGMIX.values()), *WORLD_KINDS[1:])
    return (*REGMIX, WORLD).index(part), n, kinds.index(kind)


def _verdicts(rows: Rows) -> str:
    lost = {
        key: rows[key[0], key[1], NONE]["spearman"] - row["spearman"]
        for key, row in rows.items()
        if key[2] != NONE
    }
    (part, n, kind), most = max(lost.items(), key=lambda item: item[1])
    covers = [row["coverage"] for row in rows.values()]
    is_within = COVERAGE[0] <= min(covers) and max(covers) <= COVERAGE[1]
    said = [
        f"- The channel that helps least: {kind} on {part}, n = {n}, {-most:+.3f} of Spearman, "
        f"{_met(most <= MOST_LOST)} at most {MOST_LOST} lost.",
        f"- Coverage from {min(covers):.2f} to {max(covers):.2f}, {_met(is_within)} "
        f"{COVERAGE[0]} to {COVERAGE[1]}.",
    ]
    for part, kind in COMPARED:
        if (part, FEW, kind) in rows and (part, MANY, NONE) in rows:
            few, many = rows[part, FEW, kind]["spearman"], rows[part, MANY, NONE]["spearman"]
            said.append(
                f"- {part}: with {kind} n = {FEW} has {few:.3f}, without it n = {MANY} has "
                f"{many:.3f}, {_met(few >= many)} being as good."
            )
    return "\n".join(said)


def _met(is_met: bool) -> str:
    return "which meets the goal of" if is_met else "which MISSES the goal of"


if __name__ == "__main__":
    typer.run(main)
