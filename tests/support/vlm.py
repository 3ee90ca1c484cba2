"""Small models in the layout that published ones have on disk."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from trainer.tiny.model import load


def save_qwen2_vl(folder: Path) -> Path:
    """A Qwen2-VL that knows something, its tokenizer and its image processor."""
    model, processor = load()
    model.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
    return folder


def save_qwen2_5_vl(folder: Path) -> Path:
    """A Qwen2.5-VL that speaks and is blind: its random vision tower ends in zeros."""
    base, processor = load()
    text = {
        key: value
        for key, value in base.config.text_config.to_dict().items()
        if key not in ("model_type", "architectures")
    }
    torch.manual_seed(5)
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config={
            "depth": 1,
            "hidden_size": 64,
            "intermediate_size": 128,
            "out_hidden_size": text["hidden_size"],
            "num_heads": 2,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 1,
            "window_size": 32,
            "fullatt_block_indexes": [0],
        },
        tie_word_embeddings=True,
        **{
            name: getattr(base.config, name)
            for name in (
                *("image_token_id", "video_token_id"),
                *("vision_start_token_id", "vision_end_token_id"),
            )
        },
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.model.language_model.load_state_dict(base.model.language_model.state_dict())
    torch.nn.init.zeros_(model.model.visual.merger.mlp[-1].weight)
    model.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
    return folder
