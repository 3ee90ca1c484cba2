"""How much room a run's checkpoints take on the disk, and whether there is so much.

Weights and AdamW's state of what is trained, as `trainer/planning/memory.py` counts them, for each
checkpoint that stays and the one being written.
"""

from __future__ import annotations

import errno
import shutil

from trainer.job import Job
from trainer.planning.memory import optimizer_bytes, trained_parameters
from trainer.planning.shapes import shape_of
from trainer.recipe import Recipe, RecipeError
from trainer.troubles import Trouble

SPARE_BYTES = 10**9
"""Beside checkpoints: responses, logs, the learning curve."""


class NoRoom(OSError):  # noqa: N818 - it is a state of things
    """The disk has no room for the run's checkpoints.

    Attributes:
        needed_bytes: what must be free.
    """

    trouble: Trouble = "environment"

    def __init__(self, needed: int, free: int, folder: str) -> None:
        super().__init__(
            errno.ENOSPC,
            f"no room for the run's checkpoints: they need {needed / 1e9:.1f} GB, and "
            f"{free / 1e9:.1f} GB are free (keep fewer, take another --folder, or go by a figure "
            "of your own with --min-free-gb)",
            folder,
        )
        self.needed_bytes = needed


def checkpoint_bytes(recipe: Recipe) -> int:
    """Bytes of one checkpoint.

    Raises:
        RecipeError: the model's sizes are not known here.
    """
    shape = shape_of(recipe.model)
    trained = trained_parameters(recipe, shape)
    weight = 2 if recipe.dtype == "bfloat16" else 4
    weights = 4 * trained if recipe.lora is not None else weight * shape.parameters
    return weights + optimizer_bytes(recipe, trained)


def needed_bytes(recipe: Recipe) -> int:
    """Bytes that must be free for a run.

    Raises:
        RecipeError: as `checkpoint_bytes`.
    """
    n = 1 if recipe.checkpoints.every is None else recipe.checkpoints.keep + 1
    return n * checkpoint_bytes(recipe) + SPARE_BYTES


def check(job: Job) -> None:
    """Raises:
    NoRoom: the folder's disk has too little room for the run.
    """
    if job.folder is None:
        return
    try:
        needed = needed_bytes(job.recipe)
    except RecipeError:
        return  # the run will say so
    job.folder.mkdir(parents=True, exist_ok=True)
    # What a run that goes on has there already is room that it does not need once more.
    there = sum(file.stat().st_size for file in job.folder.rglob("*") if file.is_file())
    free = shutil.disk_usage(job.folder).free
    if free + there < needed:
        raise NoRoom(needed, free, str(job.folder))
