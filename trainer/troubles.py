"""Whose fault it is that a run broke: its own, the machine's that it ran on, or its recipe's.

A run that broke by itself is tried again, and that counts. What the machine lacks is no fault of
the trial: it goes to another worker, with nothing counted. What is wrong in the recipe is wrong
everywhere, so it is not tried again.
"""

from __future__ import annotations

import traceback
from typing import Literal

Trouble = Literal["run", "environment", "start", "memory", "recipe"]
"""`environment`: the machine's. `start`: the machine's where no step was done yet, else the run's.
`memory`: the machine's where no step was done yet and others could run the recipe."""

_MEMORY = ("outofmemoryerror", "cuda out of memory", "memoryerror", "cannot allocate memory")
_ENVIRONMENT = (
    # no room
    "no space left on device",
    "disk quota exceeded",
    "read-only file system",
    "stale file handle",
    "transport endpoint is not connected",
    # no GPU
    "no cuda gpus are available",
    "no cuda-capable device",
    "cuda-capable device(s) is/are busy",
    "cuda driver version is insufficient",
    "cuda driver initialization failed",
    "found no nvidia driver",
    "cuda unknown error",
    "uncorrectable ecc error",
    "gpu has fallen off the bus",
    "gpu is lost",
    "unable to determine the device handle",
)
_AT_START = (
    "modulenotfounderror:",
    "importerror:",
    "cannot open shared object file",
    "filenotfounderror:",
    "no such file or directory",
    "permission denied",
    "input/output error",
    "command not found",
    "exec format error",
    "bad interpreter",
)

OUT_OF_MEMORY = ("OutOfMemoryError", "CUDA out of memory", "MemoryError")
DISK_IS_FULL = "No space left on device"

_IN_WORDS = {"CommandError", "DataError", "RecipeError", "FolderTaken", "NoRoom"}
"""Errors whose message says all that helps."""


def in_words(error: BaseException) -> str:
    """What people are told of an error: its message where that says all, else where it came up."""
    if _names(error) & _IN_WORDS:
        return str(error)
    return "".join(traceback.format_exception(error))


def cause_first(error: str) -> str:
    """A traceback, after what people can do about it where that is known."""
    if any(sign in error for sign in OUT_OF_MEMORY):
        return (
            "out of memory: a smaller prompts_per_step, generations or max_completion_tokens, or "
            f"more GPUs a trial, would help\n{error}"
        )
    if DISK_IS_FULL in error:
        return f"no room left on the disk\n{error}"
    return error


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def of_error(error: BaseException) -> Trouble:
    """What an exception of the run says. One that names its `trouble` has that."""
    named: Trouble | None = getattr(error, "trouble", None)
    if named is not None:
        return named
    names = _names(error)
    if names & {"MemoryError", "OutOfMemoryError"}:
        return "memory"
    # A recipe that reads well and cannot be run, or data that is not there, is so on this machine.
    if names & {"ImportError", "DataError", "RecipeError", "OSError"}:
        return "environment"
    return of_text(f"{type(error).__name__}: {error}")


def of_text(text: str) -> Trouble:
    """What the end of a program's output says."""
    text = text.lower()
    if any(sign in text for sign in _MEMORY):
        return "memory"
    if any(sign in text for sign in _ENVIRONMENT):
        return "environment"
    if any(sign in text for sign in _AT_START):
        return "start"
    return "run"


def is_of_this_machine(trouble: Trouble, *, has_stepped: bool, others_could: bool) -> bool:
    """Whether the trial is better given to another worker, with nothing counted against it.

    Args:
        has_stepped: a training step was done.
        others_could: the study has results.
    """
    if trouble == "memory":
        return others_could and not has_stepped
    return trouble == "environment" or (trouble == "start" and not has_stepped)
