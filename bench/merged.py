"""Seconds that a merged model costs: each in a process of its own, or one after the other in one.

`python -m bench.merged [--models 6] [--rounds 3]`

A worker's own processes merge the same mixtures of the miniature's experts and score them on the
offline world's benchmarks, once each way, in turn. Scores must be the same to the last bit.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from bench.report import machine, table, write_results, write_section
from service.schemas import Measurement
from trainer.job import ExpertWeights, Job, Merging, Outcome
from trainer.recipe import Recipe
from trainer.storage.run_folder import RunFolder
from trainer.tiny.world import DOMAIN_SIZES
from trainer.worker.child import Child

LIMITS = (20, 60)
"""Items of each benchmark."""
SCALE = 1.75

app = typer.Typer()

Way = Callable[[Sequence[Job]], tuple[list[float], list[list[Measurement]]]]
"""Seconds and scores of each job."""


@app.command()
def main(
    models: Annotated[int, typer.Option(min=2, help="Merged models of a round.")] = 6,
    rounds: Annotated[int, typer.Option(min=1, help="Of each way.")] = 3,
) -> None:
    seconds: dict[str, dict[int, list[float]]] = {name: {} for name in WAYS}
    with TemporaryDirectory() as folder:
        experts = train(Path(folder))
        for limit in LIMITS:
            jobs = [job(experts, limit, number) for number in range(models)]
            scores = []
            for number in range(rounds):
                # Turned about, so that a machine that slows down slows both.
                for name in WAYS if number % 2 == 0 else reversed(WAYS):
                    took, found = WAYS[name](jobs)
                    # The first of a process loads, whichever way it is.
                    seconds[name].setdefault(limit, []).extend(took[1:])
                    scores.append(found)
            if any(found != scores[0] for found in scores):
                raise SystemExit(f"scores differ between the ways, at {limit} items a benchmark")
    write_results("merged", {"models": models, "rounds": rounds, "seconds": seconds})
    text = report(seconds, models, rounds)
    write_section("merged", text)
    print(text)


def train(folder: Path) -> tuple[ExpertWeights, ...]:
    """An expert of each domain: two steps are enough to change all weights."""
    recipe = recipe_of(1)
    found = []
    for name in DOMAIN_SIZES:
        alone = {domain: float(domain == name) for domain in DOMAIN_SIZES}
        outcome = _last(Child(Job(alone, recipe, 1, folder=folder / name, keeps_weights=True)))
        weights = RunFolder(folder / name).checkpoint(outcome.steps)
        found.append(ExpertWeights(name, weights, outcome.steps))
    return tuple(found)


def recipe_of(limit: int) -> Recipe:
    return Recipe.parse({"steps": 2, "evaluation": {"limit": limit}})


def job(experts: tuple[ExpertWeights, ...], limit: int, number: int) -> Job:
    """Mixtures that have all domains, each another."""
    raw = {one.domain: 1.0 + (number + place) % 5 for place, one in enumerate(experts)}
    mixture = {name: weight / sum(raw.values()) for name, weight in raw.items()}
    return Job(mixture, recipe_of(limit), 1, merging=Merging(experts, SCALE))


def each_alone(jobs: Sequence[Job]) -> tuple[list[float], list[list[Measurement]]]:
    seconds, scores = [], []
    for one in jobs:
        began = time.perf_counter()
        scores.append(_last(Child(one)).measurements)
        seconds.append(time.perf_counter() - began)
    return seconds, scores


def in_one_process(jobs: Sequence[Job]) -> tuple[list[float], list[list[Measurement]]]:
    seconds, scores = [], []
    child: Child | None = None
    try:
        for one in jobs:
            began = time.perf_counter()
            if child is None:
                child = Child(one)
            elif not child.hand(one):
                raise SystemExit("the process that waited took no further job")
            scores.append(_heard(child).measurements)
            seconds.append(time.perf_counter() - began)
    finally:
        if child is not None:
            child.stop()
    return seconds, scores


WAYS: dict[str, Way] = {"a process each": each_alone, "one after the other": in_one_process}


def _last(child: Child) -> Outcome:
    try:
        return _heard(child)
    finally:
        child.stop()


def _heard(child: Child) -> Outcome:
    while True:
        message = child.hear()
        if isinstance(message, Outcome):
            return message
        if getattr(message, "error", None):
            raise SystemExit(str(message))


def report(seconds: dict[str, dict[int, list[float]]], models: int, rounds: int) -> str:
    rows = []
    for limit in LIMITS:
        alone, warm = (sorted(seconds[name][limit]) for name in WAYS)
        factor = statistics.median(alone) / statistics.median(warm)
        rows.append([str(limit), _spread(alone), _spread(warm), f"{factor:.1f}"])
    head = ["items a benchmark", *(f"{name}, s" for name in WAYS), "times faster"]
    return (
        f"{table(head, rows)}\n\n"
        f"The miniature with {len(DOMAIN_SIZES)} experts: median and range of {len(alone)} merged "
        f"models each way. The first of each round of {models} is left out, which loads either "
        f"way. Scores are the same to the last bit. The machine was shared.\n\nMade on {machine()}."
    )


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})"


if __name__ == "__main__":
    app()
