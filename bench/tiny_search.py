"""The whole pipeline on real runs: 24 trials by a service and two workers, then confirmed.

`python -m bench.tiny_search [--trials 24] [--strategy modomodo] [--repeats 3]`
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bench.report import machine, table, write_results, write_section
from bench.runs import run_all
from modomodo.local import LocalFleet
from modomodo.summary import is_uniform, mixture_text
from service.schemas import Score, Study, Trial
from trainer.client import Client
from trainer.job import Job
from trainer.recipe import Recipe
from trainer.tiny.study import study_spec

FIRST_FRESH_SEED = 10_000


def main(
    trials: Annotated[int, typer.Option()] = 24,
    strategy: Annotated[str, typer.Option()] = "modomodo",
    repeats: Annotated[int, typer.Option()] = 3,
    steps: Annotated[int | None, typer.Option()] = None,
) -> None:
    recipe = Recipe() if steps is None else Recipe(steps=steps)
    study, completed, seconds = search(recipe, trials, strategy)
    chosen = choose(completed)
    reruns = confirm(study, chosen, recipe, repeats)
    rows = []
    for label, trial in chosen.items():
        out = [100 * score.value for score in reruns[label]]
        searched = trial.scores.objective
        assert searched
        rows.append(
            [
                label,
                mixture_text(trial.mixture),
                f"{100 * searched.value:.1f}",
                f"{np.mean(out):.1f} ± {np.std(out, ddof=1) / np.sqrt(len(out)):.1f}",
                ", ".join(f"{value:.1f}" for value in out),
            ]
        )
    head = [
        "",
        "mixture",
        "Out-Score in the search",
        f"re-run, {repeats} fresh seeds (mean ± s.e.)",
        "each",
    ]
    write_results(
        "tiny_search",
        {
            "strategy": strategy,
            "trials": [trial.model_dump(mode="json") for trial in completed],
            "reruns": {
                label: [score.model_dump() for score in scores] for label, scores in reruns.items()
            },
            "seconds": seconds,
        },
    )
    write_section(
        "tiny_search",
        f"""
Strategy `{strategy}`, {trials} trials by two workers in {seconds / 60:.1f} minutes; Out-Score in
points of 100. Picked by the score seen in the search, then run again with seeds it never saw.

{table(head, rows)}

Best proposed, re-run (points ± s.e.): {_gain(reruns, "uniform")} over uniform,
{_gain(reruns, "best seed")} over the best seed.

Made on {machine()}.
""",
    )


def _gain(reruns: dict[str, list[Score]], over: str) -> str:
    """Best proposed over another, in points, with the standard error of the difference."""
    mine, theirs = (
        100 * np.array([score.value for score in reruns[label]])
        for label in ("best proposed", over)
    )
    error = np.sqrt(mine.var(ddof=1) / len(mine) + theirs.var(ddof=1) / len(theirs))
    return f"{mine.mean() - theirs.mean():+.1f} ± {error:.1f}"


def search(recipe: Recipe, trials: int, strategy: str) -> tuple[Study, list[Trial], float]:
    """A finished study, its completed trials and the seconds it took."""
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalFleet(Path(folder), port=0) as fleet,
        Client(fleet.url) as client,
    ):
        spec = study_spec("tiny-search", recipe=recipe, budget=trials, strategy=strategy)
        client.create_study(spec)
        fleet.start_workers(2, spec.name)
        completed: list[Trial] = []
        while len(completed) < trials:
            fleet.check()
            time.sleep(1.0)
            now = [t for t in client.trials(spec.name) if t.state == "completed"]
            if len(now) > len(completed):
                print(f"{len(now)}/{trials} trials", flush=True)
            completed = now
        return client.study(spec.name), completed, time.monotonic() - started


def choose(completed: list[Trial]) -> dict[str, Trial]:
    """Uniform, the best seed and the best proposed mixture, by the scores of the search."""

    def score(trial: Trial) -> float:
        assert trial.scores.objective
        return trial.scores.objective.value

    is_seed = {t.id: t.proposal is not None and t.proposal.strategy == "seed" for t in completed}
    return {
        "uniform": next(t for t in completed if is_uniform(t)),
        "best seed": max((t for t in completed if is_seed[t.id]), key=score),
        "best proposed": max((t for t in completed if not is_seed[t.id]), key=score),
    }


def confirm(
    study: Study, chosen: dict[str, Trial], recipe: Recipe, repeats: int
) -> dict[str, list[Score]]:
    """Objective of each chosen mixture under fresh training seeds."""
    jobs = {
        f"{label}, seed {seed}": Job(trial.mixture, recipe, seed)
        for label, trial in chosen.items()
        for seed in range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + repeats)
    }
    outcomes = iter(run_all(jobs).values())
    scores: dict[str, list[Score]] = {label: [] for label in chosen}
    for label in chosen:
        for _ in range(repeats):
            objective = study.scores(next(outcomes).measurements).objective
            assert objective
            scores[label].append(objective)
    return scores


if __name__ == "__main__":
    typer.run(main)
