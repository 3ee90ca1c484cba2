"""Is a mixture that changes during a run worth it? The best static one, the best of four schedules
and adaptive weights, by real runs.

`python -m bench.schedules [--parallel 2] [--again]`
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

import numpy as np
import typer

from bench import intervals, units
from bench.report import table, write_section
from bench.tiny_world import DOMAINS, INSIDE
from service.schemas import Phase, last_measurements
from trainer.job import Job
from trainer.recipe import Recipe
from trainer.sections import Adaptive

CHOOSING, JUDGING = range(900, 903), range(950, 955)
"""Seeds of the runs that choose a schedule, and of those that it is judged by; no other bench has
these."""
MIXTURE = "little coco"
"""The best of the world's mixtures inside, by Out-Score (`bench.tiny_world`)."""
GROUPS = {"boxes": ("coco", "lisa"), "sat": ("sat",)}
MOVED = 0.8
"""Share of a group's samples in one half of the run that is moved to the other."""
STATIC, ADAPTIVE = "static", "adaptive"


def schedules() -> dict[str, list[Phase]]:
    """Two halves by what they do, each with the mean `MIXTURE`."""
    found: dict[str, list[Phase]] = {}
    for name, group in GROUPS.items():
        halves = [
            Phase(share=0.5, mixture=tilted(mixture(), group, by)) for by in (1 + MOVED, 1 - MOVED)
        ]
        found |= {f"{name} first": halves, f"{name} last": halves[::-1]}
    return found


def mixture() -> dict[str, float]:
    """What all runs are of, in the mean or throughout."""
    return dict(zip(DOMAINS, INSIDE[MIXTURE], strict=True))


def tilted(mean: Mapping[str, float], group: tuple[str, ...], by: float) -> dict[str, float]:
    """The mixture with so many times a group's weight; the other domains share the rest as before.

    With `1 + x` in one half of a run and `1 - x` in the other, both together are the mixture.
    """
    weight = sum(mean[name] for name in group)
    rest = (1 - by * weight) / (1 - weight)
    return {name: w * (by if name in group else rest) for name, w in mean.items()}


def run(how: str, seed: int) -> units.Figures:
    """One run: its scores in points of 100, its steps, and what adaptive weights were
    in the mean."""
    from trainer.run.run import train_and_score

    recipe = Recipe(adaptive=Adaptive()) if how == ADAPTIVE else Recipe()
    phases = tuple(schedules().get(how, ()))
    outcome = train_and_score(Job(mixture(), recipe, seed, schedule=phases))
    last = last_measurements(outcome.measurements)
    return {
        "scores": {name: 100 * item.score for name, item in last.items()},
        "steps": outcome.steps,
        "weights": outcome.mean_weights,
    }


def main(
    parallel: Annotated[int, typer.Option(help="Runs at a time.")] = 2,
    again: Annotated[bool, typer.Option(help="Train stored runs anew.")] = False,
) -> None:
    chosen_by = found(schedules(), CHOOSING, parallel=parallel, again=again)
    kinds = (STATIC, best(chosen_by), ADAPTIVE)
    judged_by = found(kinds, JUDGING, parallel=parallel, again=again)
    write_section("schedules", report(chosen_by, judged_by))


def found(
    kinds: Iterable[str], seeds: Iterable[int], *, parallel: int, again: bool
) -> dict[str, units.Figures]:
    """Figures of runs of each kind with each seed, by `kind/seed`."""
    seeds = list(seeds)
    wanted = {f"{how}/{seed}": (how, seed) for how in kinds for seed in seeds}
    return units.compute("schedules", run, wanted, again=again, parallel=parallel)


def best(chosen_by: Mapping[str, units.Figures]) -> str:
    """The schedule of the highest mean Out-Score."""
    return max(schedules(), key=lambda how: float(_scores(chosen_by, how)["Out"].mean()))


def report(chosen_by: Mapping[str, units.Figures], judged_by: Mapping[str, units.Figures]) -> str:
    chosen = best(chosen_by)
    kinds = {STATIC: STATIC, f"two phases, {chosen}": chosen, ADAPTIVE: ADAPTIVE}
    scores = {name: _scores(judged_by, how) for name, how in kinds.items()}
    plain = scores[STATIC]
    rows, sure = [], []
    for name, of in scores.items():
        over = ""
        if name != STATIC:
            over = intervals.gain(of["Out"], plain["Out"])
            low, high = intervals.difference(of["Out"], plain["Out"])
            sure += [name] if low > 0 or high < 0 else []
        rows.append([name, *(intervals.mean(values) for values in of.values()), over])
    steps = sorted({figures["steps"] for figures in judged_by.values()})
    candidates = ", ".join(
        f"{how} {_scores(chosen_by, how)['Out'].mean():.1f}" for how in schedules()
    )
    return f"""
Real runs of GRPO on the offline world, {len(plain["Out"])} fresh seeds of each kind, of the mixture
{MIXTURE!r}, the best of the world's by Out-Score: drawn by it throughout, by a schedule of two
halves whose mean it is, and by `adaptive: {{}}` around it. The schedule is the best of four by
{len(CHOOSING)} runs each of other seeds (Out-Score: {candidates}): {MOVED:.0%} of what a group
({_groups()}) has in one half is moved to the other. Settings of `adaptive` are the defaults, not
tuned. Points of 100, means with 95% intervals over seeds; {" or ".join(map(str, steps))} steps.

{table(["draw", "In-Score", "Out-Score", "Out-Score over static"], rows)}

{_verdict(sure)} Adaptive weights were, in the mean over steps and runs (the mixture's in brackets):
{_weights(judged_by)}.
"""


def _scores(runs: Mapping[str, units.Figures], how: str) -> dict[str, intervals.Values]:
    from trainer.tiny.world import BENCHMARKS

    mine = [figures["scores"] for key, figures in runs.items() if key.rpartition("/")[0] == how]
    scores = {}
    for label, wanted in (("In", "in"), ("Out", "out")):
        shares = {name: w for name, (group, w) in BENCHMARKS.items() if group == wanted}
        total = sum(shares.values())
        scores[label] = np.array([sum(s[n] * w / total for n, w in shares.items()) for s in mine])
    return scores


def _groups() -> str:
    return "; ".join(f"{name}: {' and '.join(group)}" for name, group in GROUPS.items())


def _weights(runs: Mapping[str, units.Figures]) -> str:
    mine = [figures["weights"] for figures in runs.values() if figures["weights"]]
    return ", ".join(
        f"{name} {np.mean([weights[name] for weights in mine]):.2f} ({of:.2f})"
        for name, of in mixture().items()
    )


def _verdict(sure: list[str]) -> str:
    if not sure:
        return (
            "**Neither differs from the static mixture** by more than its interval: on this world "
            "a mixture that changes during the run is no gain that these runs can tell."
        )
    return f"The interval leaves 0 out: {' and '.join(sure)}."


if __name__ == "__main__":
    typer.run(main)
