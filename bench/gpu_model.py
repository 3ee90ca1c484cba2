"""A model of Qwen2-VL-2B's shape with random weights, and questions about pictures of noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from trainer.planning.counting import from_config, published
from trainer.planning.shapes import QWEN2_VL_2B, Shape
from trainer.recipe import Recipe
from trainer.rows import Row
from trainer.run import models
from trainer.run.processors import IMAGE, VIDEO
from trainer.tiny.model import load as load_tiny

SIDE = 640
ANSWER_TOKENS = 150
"""Mean of an answer's: a guess at what a model says with its reasons."""

QUESTION = (
    "Each of the shapes in the picture has a colour and a place. Which of them is nearest to the "
    "one in the middle, and what colour does it have? "
) * 3


def build(path: Path, *, small: bool) -> Shape:
    """Saves a model with random weights, the miniature's words and Qwen2-VL's image processor,
    where none is saved yet."""
    _, processor = load_tiny()
    tokenizer = processor.tokenizer
    config: Any = published(QWEN2_VL_2B)
    if small:
        text, eyes = config.text_config, config.vision_config
        text.hidden_size, text.intermediate_size, text.num_hidden_layers = 96, 256, 2
        text.layer_types = text.layer_types[:2]
        text.num_attention_heads, text.num_key_value_heads = 3, 1
        text.rope_parameters = text.rope_parameters | {"mrope_section": [4, 6, 6]}
        eyes.depth, eyes.embed_dim, eyes.num_heads, eyes.hidden_size = 2, 64, 2, 96
        text.vocab_size = 1024
    config.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE)
    config.video_token_id = tokenizer.convert_tokens_to_ids(VIDEO)
    config.vision_start_token_id = tokenizer.convert_tokens_to_ids("<|vision_start|>")
    config.vision_end_token_id = tokenizer.convert_tokens_to_ids("<|vision_end|>")
    shape = from_config(config)
    if (path / "preprocessor_config.json").exists():
        return shape
    torch.manual_seed(0)
    with torch.device(models.device()):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    Qwen2VLImageProcessorPil(
        size={"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 16384}
    ).save_pretrained(path)
    del model
    torch.cuda.empty_cache()
    return shape


def noise_rows(n: int) -> list[Row]:
    """Questions with a picture each, no two alike."""
    noise = np.random.default_rng(0)
    return [
        Row(
            id=str(i),
            domain="noise",
            images=(Image.fromarray(noise.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)),),
            question=QUESTION,
            answer="A",
            answer_type="choice",
            choices=("red", "green", "blue", "yellow"),
        )
        for i in range(n)
    ]


def end_by_chance(model: Any) -> None:
    """Has answers that are drawn end after `ANSWER_TOKENS` in the mean, as long ones and short ones
    do: random weights draw all words alike, so every so-manieth one is made an end."""
    vocabulary = model.config.get_text_config().vocab_size
    ends = np.random.default_rng(1).permutation(np.arange(1000 % vocabulary, vocabulary))
    model.generation_config.eos_token_id = sorted(ends[: vocabulary // ANSWER_TOKENS].tolist())


def step_flop(recipe: Recipe, shape: Shape, prompt_tokens: int) -> float:
    """Model FLOP of a step: 2 a parameter and token forward, 4 backward; attention left out.

    Language model: generation, the reference's and the policy's forward pass, and the backward pass
    (with adapters only the part that goes through activations). Vision tower: four patches a token,
    forward, once for each of these passes. What checkpointed gradients compute twice counts once.
    """
    completions = recipe.completions_per_step
    tokens = completions * (prompt_tokens + recipe.max_completion_tokens)
    backward = 2 if recipe.lora is not None else 4
    reference = 2 if recipe.beta > 0 else 0
    language = shape.language * tokens * (2 + reference + 2 + backward)
    pixels = recipe.max_pixels or SIDE * SIDE
    patches = completions * 4 * min(pixels, SIDE * SIDE) / shape.pixels_per_token
    passes = 3 if recipe.beta > 0 else 2
    return language + shape.vision * patches * 2 * passes
