"""A model merged of experts instead of trained, and scored: a trial of channel `merged`.

The first one of a study is of the uniform mixture. It finds `lambda_u`, at which its score meets
that of the uniform mixture's run; all others are told it (formula: `task_arithmetic.py`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch

from service.schemas import Measurement, Score
from trainer.data import ItemSet
from trainer.job import Halted, IsStopping, Job, Merging, Outcome, Progress, Report
from trainer.recipe import Recipe
from trainer.run import task_arithmetic
from trainer.run.blend import Blend, Loaded
from trainer.run.decoding import decoding_of
from trainer.run.evaluate import evaluate
from trainer.run.software import software
from trainer.storage.run_folder import RunFolder

STEP = 0
"""Of a merged model's scores: it was not trained."""


def merge_and_score(
    job: Job, report: Report, is_stopping: IsStopping, loaded: Loaded | None = None
) -> Outcome:
    """Merges the job's mixture of its experts and scores all benchmarks: first those that the study
    looks at, and of these the smallest, each reported once it is scored.

    Deterministic on one machine. A job that was killed is done again from its start.

    Args:
        loaded: what the job before it in this process has left, and this one leaves to the next.

    Raises:
        Halted: it was told to stop.
        RecipeError: the recipe cannot be run here.
        DataError: a dataset of the recipe's is not there.
        ValueError: an expert's weights are not of the recipe's model, or it was never trained.
    """
    started = time.monotonic()
    recipe, merging = job.recipe, job.merging
    if merging is None:
        raise ValueError("the job says nothing of what to merge")
    torch.set_num_threads(recipe.threads)
    report(Progress("merge", STEP, 0))
    blend, sets = (loaded or Loaded()).of(job)
    blend.mix(job.mixture, merging)
    scorer = _Scorer(recipe, blend, report, is_stopping)
    at_uniform = merging.scale_at_uniform
    if at_uniform is None:
        at_uniform = _calibrated(scorer, merging, sets)
    folder = None
    if job.folder is not None:
        folder = RunFolder(job.folder)
        # Of a try that was killed, which may have had another scale.
        shutil.rmtree(job.folder / "responses", ignore_errors=True)

    def tell(found: list[Measurement]) -> None:
        report(Progress(f"evaluate {found[0].benchmark}", STEP, 0, measurements=found))

    measurements = scorer.score(
        "evaluate", at_uniform, in_turn(sets, merging.weighed), folder, scored=tell
    )
    return Outcome(
        measurements=measurements,
        steps=STEP,
        exhausted=None,
        counts={},
        wall_s=time.monotonic() - started,
        made_with={
            "recipe": recipe.model_dump(mode="json"),
            "software": software(recipe, uses_vllm=False),
            "scale_at_uniform": at_uniform,
            "scale": task_arithmetic.scale(blend.weights, at_uniform),
        },
    )


def in_turn(sets: Mapping[str, ItemSet], weighed: Collection[str]) -> dict[str, ItemSet]:
    """Benchmarks in the order they are scored in: those that are weighed first, and the cheapest
    of them first. All answers may be equally long, so that is the one with fewest items."""

    def cost(name: str) -> tuple[bool, int]:
        return name not in weighed, len(sets[name].rows)

    return {name: sets[name] for name in sorted(sets, key=cost)}


@dataclass(frozen=True, slots=True)
class _Scorer:
    """Scores a blend at one scale after the other."""

    recipe: Recipe
    blend: Blend
    report: Report
    is_stopping: IsStopping

    def score(
        self,
        what: str,
        at_uniform: float,
        benchmarks: Mapping[str, ItemSet],
        folder: RunFolder | None = None,
        *,
        scored: Callable[[list[Measurement]], None] = lambda found: None,
    ) -> list[Measurement]:
        """Raises:
        Halted: it was told to stop.
        """
        self.blend.set(at_uniform)

        def tell(name: str, done: int, total: int) -> None:
            metrics = {"evaluated": done / total, "scale_at_uniform": at_uniform}
            self.report(Progress(f"{what} {name}", STEP, 0, metrics))
            if self.is_stopping():
                raise Halted(None)

        return evaluate(
            self.blend.model,
            self.blend.processor,
            benchmarks,
            self.recipe,
            step=STEP,
            progress=tell,
            folder=folder,
            decoding=decoding_of(self.recipe),
            scored=scored,
        )


def _calibrated(scorer: _Scorer, merging: Merging, sets: Mapping[str, ItemSet]) -> float:
    """`lambda_u`, by the benchmarks in the score of the uniform mixture's run."""
    weights = dict(merging.weights)
    weighed = {name: items for name, items in sets.items() if name in weights}

    def price(at_uniform: float) -> float:
        found = scorer.score(f"calibrate at {at_uniform:g},", at_uniform, weighed)
        return Score.weighted(found, weights).value

    tried = task_arithmetic.tried_scales(price, merging.target)
    return task_arithmetic.scale_at_uniform([*tried], [*tried.values()], merging.target)
