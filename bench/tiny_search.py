"""Whole searches on real runs: 24 trials by a service and two workers, then confirmed.

`python -m bench.tiny_search [--trials 24] [--strategies modomodo,auto] [--repeats 3]`
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bench import intervals
from bench.report import machine, table, write_results, write_section
from bench.runs import run_all
from modomodo.local import LocalFleet
from modomodo.summary import mixture_text
from service.client import Client
from service.schemas import PredictedMixture, Score, Study, Trial
from service.study import points
from service.study.headline import is_uniform
from trainer.job import Job
from trainer.recipe import Recipe
from trainer.tiny.study import study_spec

FIRST_FRESH_SEED = 10_000


@dataclass(frozen=True)
class Search:
    """A finished study, its completed trials, what its surrogate recommends, and the seconds."""

    study: Study
    completed: list[Trial]
    recommended: PredictedMixture
    seconds: float


@dataclass(frozen=True)
class Chosen:
    """A mixture to confirm; `said` is what the search knew of it, in points of 100."""

    label: str
    mixture: dict[str, float]
    said: str


def main(
    trials: Annotated[int, typer.Option()] = 24,
    strategies: Annotated[str, typer.Option()] = "modomodo,auto",
    repeats: Annotated[int, typer.Option()] = 3,
    steps: Annotated[int | None, typer.Option()] = None,
) -> None:
    recipe = Recipe() if steps is None else Recipe(steps=steps)
    names = strategies.split(",")
    searches = {name: search(recipe, trials, name) for name in names}
    chosen = [item for name in names for item in choose(name, searches[name])]
    uniform = _uniform(searches[names[0]].completed)
    chosen = [Chosen("uniform", uniform.mixture, _scored(uniform)), *chosen]
    study = searches[names[0]].study
    reruns = confirm(study, chosen, recipe, repeats)
    rows = [
        [item.label, mixture_text(item.mixture), item.said, _mean(out), _gain(out, reruns[0])]
        for item, out in zip(chosen, reruns, strict=True)
    ]
    head = [
        "",
        "mixture",
        "Out-Score in the search",
        f"re-run, {repeats} fresh seeds",
        "over uniform",
    ]
    write_results(
        "tiny_search",
        {
            "searches": {
                name: {
                    "trials": [trial.model_dump(mode="json") for trial in found.completed],
                    "recommended": found.recommended.model_dump(mode="json"),
                    "seconds": found.seconds,
                }
                for name, found in searches.items()
            },
            "reruns": {
                item.label: [score.model_dump() for score in scores]
                for item, scores in zip(chosen, reruns, strict=True)
            },
        },
    )
    minutes = ", ".join(f"{name} {found.seconds / 60:.1f}" for name, found in searches.items())
    write_section(
        "tiny_search",
        f"""
{trials} trials each by two workers (minutes: {minutes}); Out-Score in points of 100. "Best run" is
picked by the score seen in the search, so that score flatters it; "best predicted" is the
surrogate's choice with what it predicts. Then both are run again with seeds the search never saw.
± is a 95% interval, of re-runs by Student's t.

{table(head, rows)}

Made on {machine()}.
""",
    )


def search(recipe: Recipe, trials: int, strategy: str) -> Search:
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
                print(f"{strategy}: {len(now)}/{trials} trials", flush=True)
            completed = now
        recommended = client.best(spec.name).predicted
        assert recommended
        return Search(client.study(spec.name), completed, recommended, time.monotonic() - started)


def choose(name: str, found: Search) -> list[Chosen]:
    """What a search would train with: its best run, and its surrogate's best mixture."""
    best = max(found.completed, key=_objective)
    expected = found.recommended
    said = f"{points.score(expected.mean, expected.sd)} predicted"
    return [
        Chosen(f"{name}, best run", best.mixture, _scored(best)),
        Chosen(f"{name}, best predicted", expected.weights, said),
    ]


def _objective(trial: Trial) -> float:
    assert trial.scores.objective
    return trial.scores.objective.value


def _scored(trial: Trial) -> str:
    return f"{100 * _objective(trial):.1f}"


def _uniform(completed: list[Trial]) -> Trial:
    return next(trial for trial in completed if is_uniform(trial.mixture))


def confirm(study: Study, chosen: list[Chosen], recipe: Recipe, repeats: int) -> list[list[Score]]:
    """Objective of each chosen mixture under fresh training seeds."""
    jobs = {
        f"{item.label}, seed {seed}": Job(item.mixture, recipe, seed)
        for item in chosen
        for seed in range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + repeats)
    }
    outcomes = iter(run_all(jobs).values())
    scores: list[list[Score]] = []
    for _ in chosen:
        objectives = [study.scores(next(outcomes).measurements).objective for _ in range(repeats)]
        scores.append([objective for objective in objectives if objective])
    return scores


def _points(scores: list[Score]) -> np.ndarray:
    return 100 * np.array([score.value for score in scores])


def _mean(scores: list[Score]) -> str:
    return intervals.mean(_points(scores))


def _gain(scores: list[Score], over: list[Score]) -> str:
    return "" if scores is over else intervals.gain(_points(scores), _points(over))


if __name__ == "__main__":
    typer.run(main)
