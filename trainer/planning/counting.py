"""Shapes of Qwen-VL models, counted: published ones without a download, others from their
configuration. Loads torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    PretrainedConfig,
    Qwen2_5_VLConfig,
    Qwen2VLConfig,
)
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig

from trainer.planning.shapes import QWEN2_5_VL_3B, QWEN2_VL_2B, QWEN2_VL_7B, Shape, Tower
from trainer.recipe import TINY, RecipeError
from trainer.tiny.model import BASE

_TEXT: dict[str, Any] = {
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 1_000_000.0,
        "mrope_section": [16, 24, 24],
    },
}
_TOKENS: dict[str, Any] = {
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
    "image_token_id": 151655,
    "video_token_id": 151656,
}
_EYES_2: dict[str, Any] = {"depth": 32, "embed_dim": 1280, "num_heads": 16}
_EYES_2_5: dict[str, Any] = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31],
}


@dataclass(frozen=True, slots=True)
class _Language:
    """What differs between the language models of the family."""

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    tied: bool

    def config(self) -> dict[str, Any]:
        return _TEXT | {
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "tie_word_embeddings": self.tied,
        }


_LANGUAGES = {
    QWEN2_VL_2B: _Language(151936, 1536, 8960, 28, 12, 2, tied=True),
    QWEN2_VL_7B: _Language(152064, 3584, 18944, 28, 28, 4, tied=False),
    QWEN2_5_VL_3B: _Language(151936, 2048, 11008, 36, 16, 2, tied=True),
}


def published(model: str) -> PretrainedConfig:
    """The configuration that a model is published with.

    Raises:
        KeyError: not one of those known here.
    """
    language = _LANGUAGES[model]
    parts: dict[str, Any] = {"text_config": language.config(), "tie_word_embeddings": language.tied}
    if "Qwen2.5" in model:
        eyes = _EYES_2_5 | {"out_hidden_size": language.hidden}
        return Qwen2_5_VLConfig(vision_config=eyes, **parts, **_TOKENS)
    eyes = _EYES_2 | {"hidden_size": language.hidden}
    return Qwen2VLConfig(vision_config=eyes, **parts, **_TOKENS)


def config_of(model: str) -> PretrainedConfig:
    """The configuration of a recipe's model.

    Raises:
        RecipeError: it is neither known nor found.
    """
    if model in _LANGUAGES and not Path(model).exists():
        return published(model)
    try:
        found: PretrainedConfig = AutoConfig.from_pretrained(BASE if model == TINY else model)
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"recipe: model: no configuration of {model!r} here; give a folder, or one of "
            f"{', '.join((TINY, *_LANGUAGES))} ({str(error).splitlines()[0]})"
        ) from error
    return found


def from_config(config: Any) -> Shape:
    """Counts parameters on torch's meta device, which holds no numbers."""
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    vision = sum(p.numel() for p in model.model.visual.parameters())
    text, eyes = config.get_text_config(), config.vision_config
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return Shape(
        language=sum(p.numel() for p in model.parameters()) - vision,
        vision=vision,
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        kv_width=head * text.num_key_value_heads,
        heads_width=head * text.num_attention_heads,
        vocabulary=text.vocab_size,
        pixels_per_token=(eyes.patch_size * eyes.spatial_merge_size) ** 2,
        tower=_tower(eyes),
    )


def _tower(eyes: Any) -> Tower:
    """Qwen2-VL's has layer norms and a plain feed-forward layer, Qwen2.5-VL's is built as its
    language model is."""
    if isinstance(eyes, Qwen2_5_VLVisionConfig):
        hidden = eyes.hidden_size
        kept = 14 * hidden + 4 * eyes.intermediate_size
    else:
        hidden = eyes.embed_dim
        kept = 11 * hidden + 3 * int(hidden * eyes.mlp_ratio)
    return Tower(eyes.depth, hidden, kept, eyes.spatial_merge_size**2)
