"""Is a mixture that changes during a run worth it? A static one, the best of four static ones, the
best of four schedules and adaptive weights, by real runs.

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
"""Seeds of the runs that choose a schedule or a static mixture, and of those that it is judged by;
no other bench has these."""
MIXTURE = "little coco"
"""The best of the world's mixtures inside, by Out-Score (`bench.tiny_world`)."""
NEXT_BEST = ("geometry and sat", "lisa and sat", "lisa and science")
"""Those after it; one fewer than there are schedules."""
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


def static_mixtures() -> dict[str, dict[str, float]]:
    """As many as there are schedules: `MIXTURE`, and it halfway to each of the next best.

    None of the three was run before: where scores are concave in the mixture, the middle of two
    scores no less than the mean of both.
    """
    found = {STATIC: mixture()}
    for name in NEXT_BEST:
        other = dict(zip(DOMAINS, INSIDE[name], strict=True))
        found[f"halfway to {name}"] = {d: (w + other[d]) / 2 for d, w in mixture().items()}
    return found


def mixture() -> dict[str, float]:
    """What schedules and adaptive weights are around, and the first of the static ones."""
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
    weights = static_mixtures().get(how, mixture())
    outcome = train_and_score(Job(weights, recipe, seed, schedule=phases))
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
    candidates = (*schedules(), *static_mixtures())
    chosen_by = found(candidates, CHOOSING, parallel=parallel, again=again)
    kinds = judged(chosen_by)
    judged_by = found(kinds, JUDGING, parallel=parallel, again=again)
    write_section("schedules", report(chosen_by, judged_by))


def found(
    kinds: Iterable[str], seeds: Iterable[int], *, parallel: int, again: bool
) -> dict[str, units.Figures]:
    """Figures of runs of each kind with each seed, by `kind/seed`."""
    seeds = list(seeds)
    wanted = {f"{how}/{seed}": (how, seed) for how in kinds for seed in seeds}
    return units.compute("schedules", run, wanted, again=again, parallel=parallel)


def judged(chosen_by: Mapping[str, units.Figures]) -> list[str]:
    """What is run with fresh seeds: the static mixture, the best of the static ones where that is
    another, the best schedule, adaptive weights."""
    chosen = (best(static_mixtures(), chosen_by), best(schedules(), chosen_by))
    return list(dict.fromkeys((STATIC, *chosen, ADAPTIVE)))


def best(kinds: Iterable[str], chosen_by: Mapping[str, units.Figures]) -> str:
    """The one of the highest mean Out-Score."""
    return max(kinds, key=lambda how: float(_scores(chosen_by, how)["Out"].mean()))


def report(chosen_by: Mapping[str, units.Figures], judged_by: Mapping[str, units.Figures]) -> str:
    kinds = judged(chosen_by)
    scores = {how: _scores(judged_by, how) for how in kinds}
    out = {how: of["Out"] for how, of in scores.items()}
    best_static = best(static_mixtures(), chosen_by)
    references = list(dict.fromkeys((STATIC, best_static)))
    n = len(CHOOSING) * len(schedules())
    rows = []
    for how in kinds:
        over = ["" if how == of else intervals.gain(out[how], out[of]) for of in references]
        runs = n if how in (best_static, *schedules()) else 0
        means = [intervals.mean(values) for values in scores[how].values()]
        rows.append([_label(how), str(runs), *means, *over])
    head = [
        "draw",
        "runs to choose",
        "In-Score",
        "Out-Score",
        *(f"over {_name(of)}" for of in references),
    ]
    steps = sorted({figures["steps"] for figures in judged_by.values()})
    return f"""
Real runs of GRPO on the offline world, {len(out[STATIC])} fresh seeds of each kind: {MIXTURE!r},
the best of the world's named mixtures inside by Out-Score, drawn by it throughout, by a schedule of
two halves whose mean it is, and by `adaptive: {{}}` around it. The schedule moves {MOVED:.0%} of
what a group ({_groups()}) has in one half to the other, and is the best of four by
{len(CHOOSING)} runs each of other seeds (Out-Score:
{_candidates(schedules(), chosen_by)}).
By as many runs a static mixture was chosen too, of {MIXTURE!r} and it moved halfway to each of the
three next best (Out-Score:
{_candidates(static_mixtures(), chosen_by)}).
Runs to choose are those after {MIXTURE!r} was found, on which all build. Adaptive weights need
none; their settings are the defaults, not tuned. Points of 100, means with 95% intervals over
seeds; {" or ".join(map(str, steps))} steps.

{table(head, rows)}

- **At equal steps**, over the static {MIXTURE!r}: {_verdict(out, STATIC)}
- **At equal search cost**, over the best static mixture of {n} runs, {_name(best_static)!r}:
  {_verdict(out, best_static)}{_harder(out, references)}

Adaptive weights were, in the mean over steps and runs (the mixture's in brackets):
{_weights(judged_by)}.
"""


def _harder(out: Mapping[str, intervals.Values], references: list[str]) -> str:
    """Which of two comparisons asks for more: what few runs chose may be worse with fresh seeds."""
    if len(references) == 1:
        return ""
    before, chosen = references
    harder = max(references, key=lambda how: float(out[how].mean()))
    return (
        f" That mixture itself is {intervals.gain(out[chosen], out[before])} over "
        f"{_name(before)!r}: the harder comparison is that with {_name(harder)!r}."
    )


def _name(how: str) -> str:
    return MIXTURE if how == STATIC else how


def _label(how: str) -> str:
    if how in schedules():
        return f"two phases, {how}"
    return f"static, {_name(how)}" if how in static_mixtures() else how


def _candidates(kinds: Iterable[str], chosen_by: Mapping[str, units.Figures]) -> str:
    return ", ".join(f"{_name(how)} {_scores(chosen_by, how)['Out'].mean():.1f}" for how in kinds)


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


def _verdict(out: Mapping[str, intervals.Values], reference: str) -> str:
    """What the two that change during the run gain over a static mixture, in figures and words."""
    gains, sure = [], []
    for how in out:
        if how in static_mixtures():
            continue
        gains.append(f"{_label(how)} {intervals.gain(out[how], out[reference])}")
        low, high = intervals.difference(out[how], out[reference])
        if low > 0 or high < 0:
            sure.append(f"{_label(how)} is {'better' if low > 0 else 'worse'}")
    verdict = (
        f"**{' and '.join(sure)}** by more than its interval."
        if sure
        else "**neither differs** by more than its interval: a mixture that changes during the run "
        "is no gain that these runs can tell."
    )
    return f"{', '.join(gains)}; {verdict}"


if __name__ == "__main__":
    typer.run(main)
