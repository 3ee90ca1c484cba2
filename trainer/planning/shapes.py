"""Sizes of models: of Qwen-VL ones that are known, without a look at them, or counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.recipe import TINY

QWEN2_VL_2B = "Qwen/Qwen2-VL-2B-Instruct"
QWEN2_VL_7B = "Qwen/Qwen2-VL-7B-Instruct"
QWEN2_5_VL_3B = "Qwen/Qwen2.5-VL-3B-Instruct"


@dataclass(frozen=True, slots=True)
class Tower:
    """What a vision tower's memory follows from, where it trains."""

    blocks: int
    hidden: int
    kept: int
    """Numbers that autograd keeps of a patch in one block."""
    patches_per_token: int


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model's memory and arithmetic follow from."""

    language: int
    """Parameters of the language model, embeddings once where they are tied."""
    vision: int
    layers: int
    hidden: int
    intermediate: int
    kv_width: int
    """Key (or value) numbers of one token in one layer."""
    heads_width: int
    """Query numbers of one token in one layer."""
    vocabulary: int
    pixels_per_token: int
    """Area of an image that one token stands for."""
    tower: Tower

    @property
    def parameters(self) -> int:
        return self.language + self.vision


KNOWN = {
    TINY: Shape(631_680, 144_576, 3, 128, 320, 128, 128, 503, 16**2, Tower(1, 64, 1088, 4)),
    QWEN2_VL_2B: Shape(
        *(1_543_714_304, 665_271_296, 28, 1536, 8960, 256, 1536, 151_936, 28**2),
        Tower(32, 1280, 29_440, 4),
    ),
    QWEN2_VL_7B: Shape(
        *(7_615_616_512, 675_759_104, 28, 3584, 18_944, 512, 3584, 152_064, 28**2),
        Tower(32, 1280, 29_440, 4),
    ),
    QWEN2_5_VL_3B: Shape(
        *(3_085_938_688, 668_684_288, 36, 2048, 11_008, 256, 2048, 151_936, 28**2),
        Tower(32, 1280, 31_600, 4),
    ),
}
"""What `trainer.planning.counting` finds, which loads torch and the model's code for it."""


def shape_of(model: str) -> Shape:
    """The shape of a recipe's model.

    Raises:
        RecipeError: its configuration is neither known nor found.
    """
    if model in KNOWN and not Path(model).exists():
        return KNOWN[model]
    from trainer.planning.counting import config_of, from_config

    return from_config(config_of(model))
