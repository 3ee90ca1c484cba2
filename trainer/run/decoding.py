"""Decoding by a compiled model with a key-value cache of fixed size (CUDA graphs).

A step of a small model waits for Python, not for the GPU: each token is hundreds of small kernels.
A cache of fixed size lets them be recorded once and be played as one. Shapes then have to stay: so
prompts are padded to few widths, and batches that are not full to whole ones.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar

import torch
from torch._dynamo.exc import TorchDynamoException
from transformers import CompileConfig, StaticCache

from trainer.recipe import Recipe, RecipeError
from trainer.run.sharding import is_sharded

WIDTHS = 128
"""Prompts are padded to multiples of so many tokens where decoding is compiled."""
GRAPHS = 64
"""Compiled graphs that are kept: one for each width and batch size of training and evaluation."""
SAID = 300
"""Characters of an error that are told: the rest are traces."""

Found = TypeVar("Found")


class Decoding:
    """How a run decodes.

    Args:
        compiled: whether it begins compiled.
        may_fall_back: whether it goes on without where compiling fails.
    """

    backend: str | Callable[..., Any] = "inductor"
    """What compiles, as `torch.compile` takes it. Of the class, since every run makes its own."""

    def __init__(self, compiled: bool = False, may_fall_back: bool = False) -> None:
        self.compiled, self._may_fall_back = compiled, may_fall_back
        self._caches: dict[int, tuple[int, StaticCache]] = {}
        if compiled:
            torch._dynamo.config.recompile_limit = GRAPHS

    def options(self, model: Any, rows: int, tokens: int) -> dict[str, Any]:
        """What `generate` is told, beside what it is to draw.

        Args:
            rows: of the batch.
            tokens: of the padded prompt and of the completion at most.
        """
        if not self.compiled:
            return {}
        how = CompileConfig(backend=type(self).backend, dynamic=False)
        how._compile_all_devices = True  # type: ignore[assignment]
        return {
            "past_key_values": self._cache_for(model, rows, tokens),
            "disable_compile": False,
            "compile_config": how,
        }

    def width(self, tokens: int) -> int:
        """Tokens that prompts are padded to, of which the longest has so many."""
        return -(-tokens // WIDTHS) * WIDTHS if self.compiled else tokens

    def rows(self, wanted: int, most: int) -> int:
        """Rows that a batch is filled up to: those of a whole one, a quarter, a sixteenth, ..."""
        if not self.compiled:
            return wanted
        while -(-most // 4) >= wanted and most > 1:
            most = -(-most // 4)
        return most

    def _cache_for(self, model: Any, rows: int, tokens: int) -> StaticCache:
        """The same memory whenever it is large enough: what is recorded reads and writes there."""
        known = self._caches.get(rows)
        if known is None or known[0] < tokens:
            self._caches.pop(rows, None)
            config = model.config.get_text_config(decoder=True)
            known = tokens, StaticCache(config=config, max_cache_len=tokens)
            self._caches[rows] = known
        known[1].reset()
        return known[1]

    def run(self, generate: Callable[[], Found]) -> Found:
        """What `generate` finds; it is called once more where compiling fails and need not be.

        Raises:
            RecipeError: compiling failed, and the recipe wants it.
        """
        try:
            return generate()
        except TorchDynamoException as error:
            said = " ".join(str(error).split())[:SAID]
            if not self.compiled:
                raise
            if not self._may_fall_back:
                raise RecipeError(f"recipe: speed.compiled: compiling failed: {said}") from error
            warnings.warn(f"compiling failed, going on without: {said}", stacklevel=2)
            self.compiled = False
            self._caches.clear()
            return generate()


def decoding_of(recipe: Recipe) -> Decoding:
    """How a run of this recipe decodes here.

    Raises:
        RecipeError: the recipe wants it compiled, and it cannot be.
    """
    chosen = recipe.speed.compiled
    if chosen is False or (chosen == "auto" and not torch.cuda.is_available()):
        return Decoding()
    hinders, lacks = what_hinders(recipe), what_lacks()
    can = hinders is None and lacks is None
    if chosen is True and not can:
        raise RecipeError(f"recipe: speed.compiled: {hinders or lacks}; set it to auto or false")
    if hinders is None and lacks is not None:
        warnings.warn(f"decoding is not compiled: {lacks}", stacklevel=2)
    return Decoding(can, may_fall_back=chosen == "auto")


def what_hinders(recipe: Recipe) -> str | None:
    """Why a run of this recipe cannot decode compiled, wherever it is; None where it can."""
    if is_sharded():
        return "a model that FSDP or DeepSpeed has cannot be compiled"
    if uses_autocast(recipe, on_gpu=torch.cuda.is_available()):
        return (
            "a model under autocast cannot be compiled: it needs dtype float32, or bfloat16 with "
            "speed.plain_bfloat16"
        )
    return None


def what_lacks() -> str | None:
    """What compiling needs and this machine has not; None where it has all."""
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        return "there is no C compiler (cc, gcc) here"
    if torch.cuda.is_available() and find_spec("triton") is None:
        return "triton is not installed"
    return None


def uses_autocast(recipe: Recipe, *, on_gpu: bool) -> bool:
    """Whether arithmetic is cast to bfloat16 on its way."""
    if not on_gpu or recipe.dtype == "float32":
        return False
    # FSDP and DeepSpeed keep float32 weights of what they train where they compute in bfloat16,
    # which they know by the setting that asks for autocast.
    is_plain = recipe.dtype == "bfloat16" and recipe.speed.plain_bfloat16 and not is_sharded()
    return not is_plain
