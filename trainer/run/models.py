"""A recipe's model and its processor."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
)

from trainer.planning.memory import GIB
from trainer.recipe import TINY, Recipe, RecipeError
from trainer.run.features import keep_features
from trainer.run.processors import PictureProcessor, cap_pixels
from trainer.run.sharding import is_sharded
from trainer.tiny.model import load as load_tiny

ARCHITECTURES = ("qwen2_vl", "qwen2_5_vl")


def load(recipe: Recipe) -> tuple[Any, PictureProcessor]:
    """The model on the CPU, its vision tower frozen if the recipe says so, and its processor.

    Raises:
        RecipeError: there is no such model, or it is of another architecture.
    """
    model: Any
    model, processor = load_tiny() if recipe.model == TINY else _from_pretrained(recipe)
    if recipe.dtype == "bfloat16":
        model = model.to(torch.bfloat16)
    if recipe.freeze_vision:
        model.model.visual.requires_grad_(False)
    if recipe.max_pixels is not None:
        cap_pixels(processor, recipe.max_pixels)
    if recipe.speed.pictures_once:
        pictures = processor.keep_pictures(recipe.speed.kept_gib * GIB)
        if keeps_features(recipe):
            keep_features(model, pictures)
    return model, processor


def keeps_features(recipe: Recipe) -> bool:
    """Whether pictures' features are computed once: the tower is frozen, and whole in a process.

    A tower that is sharded computes in all processes at once or not at all.
    """
    speed = recipe.speed
    return speed.pictures_once and speed.features and recipe.freeze_vision and not is_sharded()


def device() -> torch.device:
    """Where a run without a trainer computes."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _from_pretrained(recipe: Recipe) -> tuple[Any, PictureProcessor]:
    path = recipe.model
    try:
        config = AutoConfig.from_pretrained(path)
        if config.model_type not in ARCHITECTURES:
            raise RecipeError(
                f"recipe: model: {path!r} is a {config.model_type}, not one of "
                f"{', '.join(ARCHITECTURES)}"
            )
        model = AutoModelForImageTextToText.from_pretrained(
            path,
            dtype=torch.bfloat16 if recipe.dtype == "bfloat16" else torch.float32,
            attn_implementation=recipe.attention,
        )
        tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
        images = AutoImageProcessor.from_pretrained(path)
    except OSError as error:
        raise RecipeError(
            f"recipe: model: cannot load {path!r}: {str(error).splitlines()[0]}"
        ) from error
    return model, PictureProcessor(images, tokenizer, chat_template=tokenizer.chat_template)
