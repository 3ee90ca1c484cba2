"""The miniature vision-language model: Qwen2-VL's architecture at a thousandth of its size."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from trainer.run.processors import PictureProcessor
from trainer.tiny.drawing import SIDE
from trainer.tiny.tokenizer import SPECIAL

BASE = Path(__file__).parent / "base"
"""Where the shipped weights, tokenizer and configuration lie."""


def load(
    path: str | Path | None = None,
) -> tuple[Qwen2VLForConditionalGeneration, PictureProcessor]:
    """The model in fp32 and its processor, from a folder; default the shipped base."""
    folder = BASE if path is None else Path(path)
    model = Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, padding_side="left")
    return model, new_processor(tokenizer)


def new_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen2VLForConditionalGeneration:
    """The untrained model for a tokenizer."""

    def token(text: str) -> int:
        index = tokenizer.convert_tokens_to_ids(text)
        assert isinstance(index, int)  # noqa: S101 - of one token
        return index

    end, pad = int(tokenizer.eos_token_id), int(tokenizer.pad_token_id)
    config = Qwen2VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 128,
            "intermediate_size": 320,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 512,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 100.0,
                # Frequencies go to time, row, column in turn, so that each gets fine ones.
                "mrope_section": [1] * 16,
            },
            "initializer_range": 0.04,
            "bos_token_id": end,
            "eos_token_id": end,
            "pad_token_id": pad,
        },
        vision_config={
            "depth": 1,
            "embed_dim": 64,
            "hidden_size": 128,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 1,
        },
        image_token_id=token(SPECIAL["image_token"]),
        video_token_id=token(SPECIAL["video_token"]),
        vision_start_token_id=token(SPECIAL["vision_bos_token"]),
        vision_end_token_id=token(SPECIAL["vision_eos_token"]),
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = Qwen2VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = end
    model.generation_config.bos_token_id = end
    model.generation_config.pad_token_id = pad
    return model


def new_processor(tokenizer: PreTrainedTokenizerFast) -> PictureProcessor:
    """Pictures of other sizes are scaled to the world's own."""
    images = Qwen2VLImageProcessorPil(
        patch_size=8,
        merge_size=2,
        temporal_patch_size=1,
        size={"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return PictureProcessor(images, tokenizer, chat_template=tokenizer.chat_template)
