"""What a run was made with, so that it can be told from one that was made with something else."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from trainer.recipe import Recipe

ALWAYS = ("modomodo", "torch", "transformers", "trl", "accelerate")


def software(recipe: Recipe, *, uses_vllm: bool, always: Sequence[str] = ALWAYS) -> dict[str, str]:
    """Versions of Python and of the packages that decide a run of this recipe, by name."""
    names = [*always, *(["peft"] if recipe.lora else []), *(["vllm"] if uses_vllm else [])]
    return {"python": platform.python_version()} | {name: _version(name) for name in names}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # imported from a folder
        return "not installed as a package"
