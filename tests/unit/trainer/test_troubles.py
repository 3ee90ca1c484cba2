"""Whose fault it is that a run broke."""

from __future__ import annotations

import errno

import pytest

from trainer import troubles
from trainer.domains.errors import DataError
from trainer.recipe import RecipeError
from trainer.run.command import FailedScriptError, MalformedResultError, MissingScriptError


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (ModuleNotFoundError("No module named 'peft'"), "environment"),
        (OSError(errno.ENOSPC, "No space left on device"), "environment"),
        (ConnectionError("the hub is not reached"), "environment"),
        (DataError("coco holds no prepared dataset"), "environment"),
        (RecipeError("cannot load the model"), "environment"),
        (RuntimeError("No CUDA GPUs are available"), "environment"),
        (RuntimeError("PytorchStreamWriter: No space left on device"), "environment"),
        (MissingScriptError("it is not there"), "environment"),
        (MemoryError(), "memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "memory"),
        (MalformedResultError("score 41"), "recipe"),
        (FailedScriptError("ended; ImportError: no verl"), "start"),
        (FailedScriptError("ended; it printed nothing"), "run"),
        (ValueError("the loss is not a number"), "run"),
        (RuntimeError("CUDA error: device-side assert triggered"), "run"),
    ],
)
def test_an_error_says_whose_fault_it_is(error, trouble):
    assert troubles.of_error(error) == trouble


@pytest.mark.parametrize(
    ("trouble", "at_first", "later", "others"),
    [
        ("environment", True, True, True),
        ("start", True, False, True),
        ("memory", False, False, True),
        ("run", False, False, False),
        ("recipe", False, False, False),
    ],
)
def test_a_machine_is_to_blame_by_when_it_happened_and_whether_others_could(
    trouble, at_first, later, others
):
    def is_here(has_stepped, others_could):
        return troubles.is_of_this_machine(
            trouble, has_stepped=has_stepped, others_could=others_could
        )

    assert (is_here(False, False), is_here(True, False)) == (at_first, later)
    assert is_here(False, True) == others
