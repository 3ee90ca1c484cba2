"""The model that experts are merged into, kept loaded from one merged model to the next.

A merged model needs the base, each expert, and what pictures become before the model sees them. A
later one of the same recipe finds all of it here, and its weights are computed from the same
numbers in the same way: bit by bit those of a process that loads everything anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from trainer.data import ItemSet, benchmark_sets
from trainer.job import ExpertWeights, Job, Merging
from trainer.planning.memory import GIB
from trainer.recipe import Recipe
from trainer.run import adapters, models, task_arithmetic
from trainer.run.adapters import Factors

Found = TypeVar("Found")


class Loaded:
    """What the last merged model was made of and scored on; nothing before the first."""

    def __init__(self) -> None:
        self._recipe: Recipe | None = None
        self._blend: Blend | None = None

    def of(self, job: Job) -> tuple[Blend, dict[str, ItemSet]]:
        """The model of a job's recipe, and the benchmarks to score it on.

        Raises:
            RecipeError: the recipe cannot be run here.
            DataError: a dataset of the recipe's is not there.
        """
        if self._blend is None or self._recipe != job.recipe:
            self._blend = None  # two would not fit
            self._recipe, self._blend = job.recipe, Blend(job.recipe)
        else:
            # What was compiled belongs to the job before: a new process would have none of it.
            torch.compiler.reset()
        # Opened anew: rows are read when asked for, and may have been prepared again meanwhile.
        return self._blend, benchmark_sets(job.recipe, job.data)


class Blend:
    """The base, what experts change of it by a mixture, and the model of the two.

    Attributes:
        weights: (m,) the mixture, domains without a weight among them.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.weights: list[float] = []
        model, self.processor = models.load(recipe)
        self._base: dict[str, Tensor] = {}
        if recipe.lora is None:
            self._base = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        self._change: Mapping[str, Tensor] = {}
        self._changed: set[str] = set()
        self._experts = _Experts(recipe, model)
        self.model = model.to(models.device())

    def mix(self, mixture: Mapping[str, float], merging: Merging) -> None:
        """Computes what the experts change together, without the scale.

        Raises:
            ValueError: an expert's weights are not of the recipe's model, or it was never trained.
        """
        self.weights = list(mixture.values())
        shares = _shares(mixture, self._recipe, merging)
        self._change = {}  # two would not fit
        if self._recipe.lora is None:
            wholes = self._experts.wholes(merging.experts)
            self._change = task_arithmetic.change(self._base, wholes, shares)
            return
        self._change = adapters.change(self._experts.deltas(merging.experts), shares)
        state = self.model.state_dict()
        for name in self._change.keys() - self._base.keys():  # the model has the base's still
            self._base[name] = state[name].to("cpu", copy=True)

    def set(self, at_uniform: float) -> None:
        """Makes the model the merged one at this `lambda_u`."""
        scale = task_arithmetic.scale(self.weights, at_uniform)
        state = self.model.state_dict()
        with torch.no_grad():
            for name in self._changed - self._change.keys():
                state[name].copy_(self._base[name])
            for name, tensor in task_arithmetic.applied(self._base, self._change, scale):
                state[name].copy_(tensor)
        self._changed = set(self._change)


def _shares(mixture: Mapping[str, float], recipe: Recipe, merging: Merging) -> list[float]:
    """(e,) what each expert's change is multiplied by, without the scale."""
    weights = [mixture[expert.domain] for expert in merging.experts]
    sums = [task_arithmetic.rate_sum(recipe, expert.steps) for expert in merging.experts]
    return task_arithmetic.coefficients(
        weights, sums, task_arithmetic.rate_sum(recipe, recipe.steps), 1.0
    )


@dataclass(frozen=True, slots=True)
class _Kept:
    """An expert in memory, and which files it was read from."""

    version: tuple[int, int]
    found: Any
    size: int


class _Experts:
    """Experts' weights or adapters, read one by one; as many stay as the recipe's `kept_gib` of
    host memory holds, the others are read again."""

    def __init__(self, recipe: Recipe, model: Any) -> None:
        self._model, self._dtype = model, model.dtype
        self._room = recipe.speed.kept_gib * GIB
        self._kept: dict[Path, _Kept] = {}

    def wholes(self, experts: Sequence[ExpertWeights]) -> Iterator[Mapping[str, Tensor]]:
        """Each expert's weights, under the names that the model has them by."""
        for expert in experts:
            yield self._of(expert.folder, self._whole, lambda whole: whole.values())

    def _whole(self, folder: Path) -> Mapping[str, Tensor]:
        # By the library, which knows the names that weights are saved under.
        loaded = type(self._model).from_pretrained(folder, dtype=self._dtype)
        found: Mapping[str, Tensor] = loaded.state_dict()
        return found

    def deltas(self, experts: Sequence[ExpertWeights]) -> Iterator[Mapping[str, Factors]]:
        """Each expert's adapters."""
        for expert in experts:
            yield self._of(expert.folder, self._adapters, _tensors)

    def _adapters(self, folder: Path) -> Mapping[str, Factors]:
        return adapters.read(self._model, folder)

    def _of(
        self,
        folder: Path,
        read: Callable[[Path], Found],
        tensors: Callable[[Found], Iterable[Tensor]],
    ) -> Found:
        """What was read of a folder, as long as it is the same one."""
        status = folder.stat()
        version = status.st_ino, status.st_mtime_ns
        known = self._kept.get(folder)
        if known is not None and known.version == version:
            kept: Found = known.found
            return kept
        if known is not None:
            self._room += self._kept.pop(folder).size
        found = read(folder)
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors(found))
        if size <= self._room:
            self._room -= size
            self._kept[folder] = _Kept(version, found, size)
        return found


def _tensors(found: Mapping[str, Factors]) -> list[Tensor]:
    return [part for one in found.values() for part in (one.up, one.down)]
