"""A model merged of experts instead of trained, and scored: a trial of channel `merged`.

The first one of a study is of the uniform mixture. It finds `lambda_u`, at which its score meets
that of the uniform mixture's run; all others are told it (formula: `task_arithmetic.py`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from service.schemas import Measurement, Score
from trainer.data import ItemSet, benchmark_sets
from trainer.job import ExpertWeights, Halted, IsStopping, Job, Merging, Outcome, Progress, Report
from trainer.recipe import Recipe
from trainer.run import adapters, models, task_arithmetic
from trainer.run.decoding import decoding_of
from trainer.run.evaluate import evaluate
from trainer.run.software import software
from trainer.storage.run_folder import RunFolder

SCALES = (1.0, 1.5, 2.0, 2.5, 3.0)
"""Values of `lambda_u` that are tried, up to the first that is beyond the one wanted."""
STEP = 0
"""Of a merged model's scores: it was not trained."""


def merge_and_score(job: Job, report: Report, is_stopping: IsStopping) -> Outcome:
    """Merges the job's mixture of its experts and scores all benchmarks.

    Deterministic on one machine. A job that was killed is done again from its start.

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
    blend = _Blend(job, merging)
    sets = benchmark_sets(recipe, job.data)

    def scored(
        what: str, at_uniform: float, benchmarks: Mapping[str, ItemSet], folder: RunFolder | None
    ) -> list[Measurement]:
        blend.set(at_uniform)

        def tell(name: str, done: int, total: int) -> None:
            metrics = {"evaluated": done / total, "scale_at_uniform": at_uniform}
            report(Progress(f"{what} {name}", STEP, 0, metrics))
            if is_stopping():
                raise Halted(None)

        return evaluate(
            blend.model,
            blend.processor,
            benchmarks,
            recipe,
            step=STEP,
            progress=tell,
            folder=folder,
            decoding=decoding_of(recipe),
        )

    at_uniform = merging.scale_at_uniform
    if at_uniform is None:
        weighed = {name: items for name, items in sets.items() if name in merging.weights}
        prices: list[float] = []
        for scale in SCALES:
            found = scored(f"calibrate at {scale:g},", scale, weighed, None)
            prices.append(Score.weighted(found, dict(merging.weights)).value)
            if _has_met(prices, merging.target):
                break
        at_uniform = task_arithmetic.scale_at_uniform(SCALES[: len(prices)], prices, merging.target)
    folder = None
    if job.folder is not None:
        folder = RunFolder(job.folder)
        # Of a try that was killed, which may have had another scale.
        shutil.rmtree(job.folder / "responses", ignore_errors=True)
    measurements = scored("evaluate", at_uniform, sets, folder)
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


def _has_met(prices: list[float], target: float) -> bool:
    """Whether the last two prices are on both sides of the target, or one is on it."""
    sides = [price - target for price in prices[-2:]]
    return 0 in sides or (len(sides) == 2 and sides[0] * sides[1] < 0)


class _Blend:
    """The base, what the experts change of it by the mixture, and the model of the two.

    Attributes:
        weights: (m,) the mixture, domains without a weight among them.
    """

    def __init__(self, job: Job, merging: Merging) -> None:
        self.weights = list(job.mixture.values())
        model, self.processor = models.load(job.recipe)
        shares = _shares(job.mixture, job.recipe, merging)
        if job.recipe.lora is None:
            base = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            self._change = task_arithmetic.change(base, _loaded(model, merging.experts), shares)
            self._base = {name: base[name] for name in self._change}
        else:
            folders = [expert.folder for expert in merging.experts]
            self._change = adapters.change(model, folders, shares)
            state = model.state_dict()
            self._base = {name: state[name].clone() for name in self._change}
        self.model = model.to(models.device())
        self._state = self.model.state_dict()

    def set(self, at_uniform: float) -> None:
        """Makes the model the merged one at this `lambda_u`."""
        scale = task_arithmetic.scale(self.weights, at_uniform)
        with torch.no_grad():
            for name, tensor in task_arithmetic.applied(self._base, self._change, scale):
                self._state[name].copy_(tensor)


def _shares(mixture: Mapping[str, float], recipe: Recipe, merging: Merging) -> list[float]:
    """(e,) what each expert's change is multiplied by, without the scale."""
    weights = [mixture[expert.domain] for expert in merging.experts]
    sums = [task_arithmetic.rate_sum(recipe, expert.steps) for expert in merging.experts]
    return task_arithmetic.coefficients(
        weights, sums, task_arithmetic.rate_sum(recipe, recipe.steps), 1.0
    )


def _loaded(model: Any, experts: tuple[ExpertWeights, ...]) -> Iterator[Mapping[str, Tensor]]:
    """The experts' weights under the names that the model has them by, one after the other."""
    for expert in experts:
        yield _weights(model, expert.folder)


def _weights(model: Any, folder: Path) -> Mapping[str, Tensor]:
    # By the library, which knows the names that weights are saved under.
    loaded = type(model).from_pretrained(folder, dtype=model.dtype)
    found: Mapping[str, Tensor] = loaded.state_dict()
    return found
