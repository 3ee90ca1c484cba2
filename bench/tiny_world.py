"""Does the mixture matter in the offline world? Base, uniform, singles and mixtures inside.

`python -m bench.tiny_world [--split test] [--parallel 2]`
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import scipy
import typer

from bench import intervals
from bench.report import IMAGES, machine, table, write_results, write_section
from bench.runs import run_all
from service.schemas import Measurement, last_measurements
from service.search.intervals import Z95
from trainer.job import Job, Outcome
from trainer.recipe import Recipe
from trainer.tiny.world import BENCHMARKS, CHANCE, DOMAIN_SIZES

DOMAINS = tuple(DOMAIN_SIZES)
UNIFORM = "uniform"
UNIFORM_SEEDS, SEEDS = 5, 3
FIRST_SEED = 100

# Weights of coco, lisa, geoqav, sat, scienceqa. "inside": every domain has some.
INSIDE: dict[str, tuple[float, ...]] = {
    "half coco": (0.50, 0.125, 0.125, 0.125, 0.125),
    "little coco": (0.04, 0.24, 0.24, 0.24, 0.24),
    "boxes": (0.35, 0.25, 0.10, 0.15, 0.15),
    "lisa and sat": (0.05, 0.30, 0.10, 0.45, 0.10),
    "lisa and science": (0.05, 0.30, 0.10, 0.10, 0.45),
    "geometry and science": (0.05, 0.10, 0.40, 0.10, 0.35),
    "geometry and sat": (0.05, 0.10, 0.35, 0.40, 0.10),
    "mostly sat": (0.10, 0.10, 0.10, 0.60, 0.10),
    "by size": (0.197, 0.043, 0.065, 0.491, 0.204),
}
EDGE: dict[str, tuple[float, ...]] = {
    "no coco": (0.0, 0.25, 0.25, 0.25, 0.25),
    "lisa, sat": (0.0, 0.40, 0.0, 0.60, 0.0),
    "no lisa": (0.25, 0.0, 0.25, 0.25, 0.25),
}


@dataclass(frozen=True, slots=True)
class Group:
    """All runs of one mixture: scores by benchmark, and In- and Out-Score, one entry a seed."""

    weights: tuple[float, ...]
    scores: dict[str, np.ndarray]
    steps: float
    seconds: float

    @property
    def is_inside(self) -> bool:
        return min(self.weights) > 0


def main(
    split: Annotated[str, typer.Option(help="test, or tune while the world is changed")] = "test",
    parallel: Annotated[int, typer.Option()] = 2,
) -> None:
    recipe = Recipe.model_validate(
        {"evaluation": {**Recipe().evaluation.model_dump(), "split": split}}
    )
    from trainer.run.run import score_base  # with torch, which the world's names do without

    started = time.monotonic()
    base = {name: float(values[0]) for name, values in _scores([score_base(recipe)]).items()}
    mixtures = _mixtures()
    jobs = {
        f"{name}, seed {seed}": Job(dict(zip(DOMAINS, weights, strict=True)), recipe, seed)
        for name, weights in mixtures.items()
        for seed in _seeds(name)
    }
    outcomes = run_all(jobs, parallel=parallel)
    groups = {
        name: _group(weights, [outcomes[f"{name}, seed {seed}"] for seed in _seeds(name)])
        for name, weights in mixtures.items()
    }
    minutes = (time.monotonic() - started) / 60
    write_results(
        "tiny_world",
        {
            "split": split,
            "recipe": recipe.model_dump(),
            "base": base,
            "mixtures": {
                name: {
                    "weights": dict(zip(DOMAINS, group.weights, strict=True)),
                    "scores": {key: values.tolist() for key, values in group.scores.items()},
                    "steps": group.steps,
                    "seconds": group.seconds,
                }
                for name, group in groups.items()
            },
        },
    )
    IMAGES.mkdir(parents=True, exist_ok=True)
    (IMAGES / "tiny_world.svg").write_text(plot(groups, base["Out"]))
    write_section("tiny_world", report(base, groups, split, minutes))
    print(report(base, groups, split, minutes))


def _mixtures() -> dict[str, tuple[float, ...]]:
    singles = {d: tuple(float(d == other) for other in DOMAINS) for d in DOMAINS}
    return {UNIFORM: (0.2,) * len(DOMAINS), **singles, **INSIDE, **EDGE}


def _seeds(name: str) -> range:
    return range(FIRST_SEED, FIRST_SEED + (UNIFORM_SEEDS if name == UNIFORM else SEEDS))


def _group(weights: tuple[float, ...], outcomes: list[Outcome]) -> Group:
    return Group(
        weights,
        _scores([outcome.measurements for outcome in outcomes]),
        float(np.mean([outcome.steps for outcome in outcomes])),
        float(np.mean([outcome.wall_s for outcome in outcomes])),
    )


def _scores(runs: list[list[Measurement]]) -> dict[str, np.ndarray]:
    """Benchmark scores in points of 100, with In- and Out-Score, one entry a run."""
    found = {
        name: np.array([100 * last_measurements(run)[name].score for run in runs])
        for name in BENCHMARKS
    }
    for label, wanted in (("In", "in"), ("Out", "out")):
        shares = {name: weight for name, (group, weight) in BENCHMARKS.items() if group == wanted}
        total = sum(shares.values())
        found[label] = np.sum([found[name] * w / total for name, w in shares.items()], axis=0)
    return found


# --- the report -------------------------------------------------------------------------------


def report(base: dict[str, float], groups: dict[str, Group], split: str, minutes: float) -> str:
    inside = {name: group for name, group in groups.items() if group.is_inside}
    best = max(groups, key=lambda name: float(groups[name].scores["Out"].mean()))
    best_inside = max(inside, key=lambda name: float(inside[name].scores["Out"].mean()))
    in_gain = groups[UNIFORM].scores["In"].mean() - base["In"]
    seconds = np.mean([group.seconds for group in groups.values() if group.steps])
    return f"""
Scores in points of 100 on `{split}` items, means over {SEEDS} seeds (uniform {UNIFORM_SEEDS}),
in brackets the standard deviation between seeds. "Inside" means that every domain has some weight.

{_score_table(base, groups)}

- Uniform over base: In-Score {in_gain:+.1f}, Out-Score \
{groups[UNIFORM].scores["Out"].mean() - base["Out"]:+.1f}.
- {_anova("All mixtures", groups)}
- {_anova("Mixtures inside alone", inside)}
- Best Out-Score, `{best}`: {_gain(groups, best)} over uniform; best inside, `{best_inside}`: \
{_gain(groups, best_inside)} (95% intervals). Each is the best of many by these same runs, so it \
is flattered; the search below re-runs what it picked with fresh seeds.
- {seconds:.0f} seconds a trial, two at a time; {minutes:.0f} minutes in all.

![Out-Score of every run](images/tiny_world.svg)

What ten more percent of a domain do to a benchmark, in points (least squares over all runs, the
weight taken evenly from the others; * a 95% interval without 0, not corrected for the
{(len(BENCHMARKS) + 2) * len(DOMAINS)} comparisons):

{_effect_table(groups)}

Made on {machine()}.
"""


def _score_table(base: dict[str, float], groups: dict[str, Group]) -> str:
    keys = ("In", "Out", *BENCHMARKS)
    chance = ["chance", "", "", "", *(f"{100 * CHANCE[name]:.0f}" for name in BENCHMARKS), ""]
    rows = [chance, ["base", "", *(f"{base[key]:.1f}" for key in keys), "0"]]
    for name, group in groups.items():
        weights = " ".join(f"{100 * weight:.0f}" for weight in group.weights)
        cells = [
            intervals.spread(group.scores[key])
            if key in ("In", "Out")
            else f"{group.scores[key].mean():.1f}"
            for key in keys
        ]
        rows.append([name, weights, *cells, f"{group.steps:.0f}"])
    return table(["mixture", "/".join(DOMAINS), *keys, "steps"], rows)


def _anova(what: str, groups: dict[str, Group]) -> str:
    """One-way analysis of variance of Out-Score: mixtures against seeds."""
    values = [group.scores["Out"] for group in groups.values()]
    result = scipy.stats.f_oneway(*values)
    between, within = len(values) - 1, sum(map(len, values)) - len(values)
    noise = np.sqrt(np.mean([v.var(ddof=1) for v in values]))
    means = [v.mean() for v in values]
    return (
        f"{what}: F({between}, {within}) = {result.statistic:.1f}, p = {result.pvalue:.2g} for "
        f"Out-Score; means from {min(means):.1f} to {max(means):.1f}, seed sd {noise:.1f}."
    )


def _gain(groups: dict[str, Group], name: str) -> str:
    return intervals.gain(groups[name].scores["Out"], groups[UNIFORM].scores["Out"])


def _effect_table(groups: dict[str, Group]) -> str:
    X = np.concatenate([[group.weights] * len(group.scores["Out"]) for group in groups.values()])
    m = len(DOMAINS)
    contrast = (np.eye(m) - (1 - np.eye(m)) / (m - 1)) * 0.1
    inverse = np.linalg.inv(X.T @ X)
    rows = []
    for key in (*BENCHMARKS, "In", "Out"):
        y = np.concatenate([group.scores[key] for group in groups.values()])
        coefficients = inverse @ X.T @ y
        residual = y - X @ coefficients
        noise = residual @ residual / (len(y) - m)
        effects = contrast @ coefficients
        errors = np.sqrt(noise * np.diag(contrast @ inverse @ contrast.T))
        rows.append(
            [key]
            + [
                f"{e:+.1f}{'*' if abs(e) > Z95 * s else ''}"
                for e, s in zip(effects, errors, strict=True)
            ]
        )
    return table(["", *DOMAINS], rows)


def plot(groups: dict[str, Group], base: float) -> str:
    """Out-Score of every run as SVG: a line a mixture, a dot a seed, a bar at the mean."""
    ordered = sorted(groups, key=lambda name: -float(groups[name].scores["Out"].mean()))
    values = np.concatenate([group.scores["Out"] for group in groups.values()])
    low = 5 * np.floor((min(values.min(), base) - 1) / 5)
    high = 5 * np.ceil((values.max() + 1) / 5)
    left, width, line = 170, 520, 22
    bottom = 20 + line * len(ordered)

    def x(value: float) -> float:
        return float(left + (value - low) / (high - low) * width)

    ticks = np.arange(low, high + 1, 5)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 30} {bottom + 50}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    parts += [
        f'<line x1="{x(tick):.1f}" y1="15" x2="{x(tick):.1f}" y2="{bottom}" stroke="#ddd"/>'
        f'<text x="{x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{tick:.0f}</text>'
        for tick in ticks
    ]
    parts.append(
        f'<line x1="{x(base):.1f}" y1="15" x2="{x(base):.1f}" y2="{bottom}" stroke="#888"'
        ' stroke-dasharray="4 3"/>'
        f'<text x="{x(base):.1f}" y="11" text-anchor="middle" fill="#666">base</text>'
        f'<text x="{left + width / 2}" y="{bottom + 38}" text-anchor="middle">Out-Score</text>'
    )
    for place, name in enumerate(ordered):
        group, y = groups[name], 30 + line * place
        colour = "#c0392b" if name == UNIFORM else "#2467a6" if group.is_inside else "#9aa5ae"
        mean = x(float(group.scores["Out"].mean()))
        parts.append(f'<text x="{left - 10}" y="{y + 4}" text-anchor="end">{name}</text>')
        parts += [
            f'<circle cx="{x(value):.1f}" cy="{y}" r="4" fill="{colour}" fill-opacity="0.55"/>'
            for value in group.scores["Out"]
        ]
        parts.append(
            f'<line x1="{mean:.1f}" y1="{y - 7}" x2="{mean:.1f}" y2="{y + 7}" stroke="{colour}"'
            ' stroke-width="2"/>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    typer.run(main)
