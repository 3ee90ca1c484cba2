"""Does the order of the samples matter? A mixture against schedules of the same mean, by real runs.

`python -m bench.schedules [--seeds 5] [--parallel 2] [--again]`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import typer

from bench import intervals, units
from bench.report import table, write_section
from bench.tiny_world import DOMAINS, INSIDE
from service.schemas import Phase, last_measurements
from trainer.job import Job
from trainer.recipe import Recipe

SEEDS, FIRST_SEED = 5, 900
"""Of the runs; no other bench has these."""
MIXTURE = "little coco"
"""The best of the world's mixtures inside, by Out-Score (`bench.tiny_world`)."""
GROUPS = {"boxes": ("coco", "lisa"), "sat": ("sat",)}
MOVED = 0.8
"""Share of a group's samples in one half of the run that is moved to the other."""
STATIC = "no schedule"


def schedules() -> dict[str, list[Phase]]:
    """Two halves by what they do, each with the mean `MIXTURE`; none for the mixture itself."""
    mean = dict(zip(DOMAINS, INSIDE[MIXTURE], strict=True))
    found: dict[str, list[Phase]] = {STATIC: []}
    for name, group in GROUPS.items():
        halves = [
            Phase(share=0.5, mixture=tilted(mean, group, by)) for by in (1 + MOVED, 1 - MOVED)
        ]
        found |= {f"{name} first": halves, f"{name} last": halves[::-1]}
    return found


def tilted(mean: Mapping[str, float], group: tuple[str, ...], by: float) -> dict[str, float]:
    """The mixture with so many times a group's weight; the other domains share the rest as before.

    With `1 + x` in one half of a run and `1 - x` in the other, both together are the mixture.
    """
    weight = sum(mean[name] for name in group)
    rest = (1 - by * weight) / (1 - weight)
    return {name: w * (by if name in group else rest) for name, w in mean.items()}


def run(how: str, seed: int) -> units.Figures:
    """One run: its scores in points of 100, its steps and seconds."""
    from trainer.run.run import train_and_score

    mean = dict(zip(DOMAINS, INSIDE[MIXTURE], strict=True))
    outcome = train_and_score(Job(mean, Recipe(), seed, schedule=tuple(schedules()[how])))
    last = last_measurements(outcome.measurements)
    return {
        "scores": {name: 100 * item.score for name, item in last.items()},
        "steps": outcome.steps,
        "seconds": outcome.wall_s,
    }


def main(
    seeds: Annotated[int, typer.Option(help="Runs of each kind.")] = SEEDS,
    parallel: Annotated[int, typer.Option(help="Runs at a time.")] = 2,
    again: Annotated[bool, typer.Option(help="Train stored runs anew.")] = False,
) -> None:
    wanted = {
        f"{how}/{seed}": (how, seed)
        for seed in range(FIRST_SEED, FIRST_SEED + seeds)
        for how in schedules()
    }
    found = units.compute("schedules", run, wanted, again=again, parallel=parallel)
    write_section("schedules", report(found))


def report(found: Mapping[str, units.Figures]) -> str:
    scores = {how: _scores(found, how) for how in schedules()}
    plain = scores[STATIC]
    rows, sure = [], []
    for how, of in scores.items():
        over = ""
        if how != STATIC:
            over = intervals.gain(of["Out"], plain["Out"])
            low, high = intervals.difference(of["Out"], plain["Out"])
            sure += [how] if low > 0 or high < 0 else []
        rows.append([how, *(intervals.mean(values) for values in of.values()), over])
    seconds = np.mean([figures["seconds"] for figures in found.values()])
    steps = {figures["steps"] for figures in found.values()}
    return f"""
Real runs of GRPO on the offline world, {len(plain["Out"])} fresh seeds of each kind, by the mixture
{MIXTURE!r}, the best of the world's by Out-Score, and by schedules of two halves whose mean it is:
{MOVED:.0%} of what a group ({_groups()}) has in one half is moved to the other. All saw as many
samples of each domain, but for the draw. Points of 100, means with 95% intervals over seeds;
{_steps(steps)} steps, {seconds:.0f} s a run.

{table(["order", "In-Score", "Out-Score", "Out-Score over no schedule"], rows)}

{_verdict(sure, len(rows) - 1)}
"""


def _scores(found: Mapping[str, units.Figures], how: str) -> dict[str, intervals.Values]:
    from trainer.tiny.world import BENCHMARKS

    mine = [figures["scores"] for key, figures in found.items() if key.rpartition("/")[0] == how]
    scores = {}
    for label, wanted in (("In", "in"), ("Out", "out")):
        shares = {name: w for name, (group, w) in BENCHMARKS.items() if group == wanted}
        total = sum(shares.values())
        scores[label] = np.array([sum(s[n] * w / total for n, w in shares.items()) for s in mine])
    return scores


def _groups() -> str:
    return "; ".join(f"{name}: {' and '.join(group)}" for name, group in GROUPS.items())


def _steps(found: set[int]) -> str:
    return " or ".join(map(str, sorted(found)))


def _verdict(sure: list[str], n: int) -> str:
    if not sure:
        return (
            f"**No order differs from the plain mixture** by more than its interval: none of {n}, "
            "so on this world a schedule of the same mean is no gain that these runs can tell."
        )
    said = ", ".join(sure)
    return (
        f"{said}: the interval leaves 0 out. Of {n} comparisons one does so by chance in about "
        f"{1 - 0.95**n:.0%} of such benches."
    )


if __name__ == "__main__":
    typer.run(main)
