"""Supervised warm-up of the miniature model, fast on one CPU core.

All pictures are of one size, so the vision tower runs over the whole batch at once instead of
picture by picture, and positions are the same for all samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from transformers import PreTrainedTokenizerFast, Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.modeling_qwen2_vl import apply_rotary_pos_emb_vision
from transformers.vision_utils import get_vision_position_ids

from trainer.tiny.drawing import SIDE
from trainer.tiny.lessons import Lesson, lesson
from trainer.tiny.tokenizer import END_OF_TURN, SPECIAL, TURN

PATCH, MERGE = 8, 2
PATCHES = SIDE // PATCH
PICTURE_TOKENS = (PATCHES // MERGE) ** 2
BATCH_SIZE = 64
PEAK_RATE = 1e-3
_IGNORED = -100

Progress = Callable[[int, int, float], None]


@dataclass(frozen=True, slots=True)
class Batch:
    pixels: torch.Tensor
    """(pictures * patches, channels * patch * patch), as the processor gives them."""
    ids: torch.Tensor
    """(samples, tokens), padded on the right."""
    labels: torch.Tensor
    """Next tokens of responses; everything else is ignored."""

    def n_labels(self) -> int:
        return int((self.labels != _IGNORED).sum())


def make_batch(lessons: Sequence[Lesson], tokenizer: PreTrainedTokenizerFast) -> Batch:
    picture = SPECIAL["vision_bos_token"] + SPECIAL["image_token"] * PICTURE_TOKENS
    prompts = tokenizer(
        [f"{TURN}{picture}{SPECIAL['vision_eos_token']}{one.prompt}{TURN}" for one in lessons]
    )["input_ids"]
    responses = tokenizer([one.response + END_OF_TURN for one in lessons])["input_ids"]
    longest = max(len(p) + len(r) for p, r in zip(prompts, responses, strict=True))
    ids = torch.full((len(lessons), longest), int(tokenizer.pad_token_id))
    labels = torch.full((len(lessons), longest), _IGNORED)
    for i, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        ids[i, : len(prompt) + len(response)] = torch.tensor(prompt + response)
        labels[i, len(prompt) - 1 : len(prompt) + len(response) - 1] = torch.tensor(response)
    return Batch(patches(np.stack([one.picture for one in lessons])), ids, labels)


def patches(pictures: np.ndarray) -> torch.Tensor:
    """Pictures (n, 64, 64, 3) as the image processor lays out their normalised patches."""
    n, blocks = len(pictures), PATCHES // MERGE
    cut = pictures.reshape(n, blocks, MERGE, PATCH, blocks, MERGE, PATCH, 3)
    flat = cut.transpose(0, 1, 4, 2, 5, 7, 3, 6).reshape(n * PATCHES**2, -1)
    return torch.from_numpy(flat.astype(np.float32)) / 127.5 - 1.0


def batch_loss(model: Qwen2VLForConditionalGeneration, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy of the response tokens."""
    core = model.model
    embeds = core.get_input_embeddings()(batch.ids)
    seen = batch.ids == model.config.image_token_id
    features = see(core.visual, batch.pixels, len(batch.ids))
    embeds = embeds.masked_scatter(seen.unsqueeze(-1), features)
    hidden = core.language_model(
        inputs_embeds=embeds,
        position_ids=_positions(model, batch.ids[:1]).expand(-1, len(batch.ids), -1),
        use_cache=False,
    ).last_hidden_state
    wanted = batch.labels != _IGNORED
    return cross_entropy(model.lm_head(hidden[wanted]), batch.labels[wanted])


def see(tower: Any, pixels: torch.Tensor, n: int) -> torch.Tensor:
    """The vision tower over n pictures of one size at once: (n * picture tokens, width)."""
    hidden = tower.patch_embed(pixels)
    places = get_vision_position_ids(torch.tensor([[1, PATCHES, PATCHES]]), MERGE)
    cos, sin = (turn.repeat(n, 1) for turn in tower.rotary_pos_emb(hidden, places))
    for block in tower.blocks:
        attention = block.attn
        query, key, value = (
            attention.qkv(block.norm1(hidden))
            .reshape(n, PATCHES**2, 3, attention.num_heads, -1)
            .unbind(2)
        )
        shape = query.shape
        query, key = apply_rotary_pos_emb_vision(
            query.reshape(-1, *shape[2:]), key.reshape(-1, *shape[2:]), cos, sin
        )
        mixed = scaled_dot_product_attention(
            query.view(shape).transpose(1, 2),
            key.view(shape).transpose(1, 2),
            value.transpose(1, 2),
        )
        hidden = hidden + attention.proj(mixed.transpose(1, 2).reshape(n * PATCHES**2, -1))
        hidden = hidden + block.mlp(block.norm2(hidden))
    merged: torch.Tensor = tower.merger(hidden)
    return merged


def _positions(model: Qwen2VLForConditionalGeneration, ids: torch.Tensor) -> torch.Tensor:
    """Positions (3, 1, tokens) of one sample; the others' are the same up to their padding."""
    positions: torch.Tensor = model.model.get_rope_index(
        ids,
        mm_token_type_ids=(ids == model.config.image_token_id).int(),
        image_grid_thw=torch.tensor([[1, PATCHES, PATCHES]]),
    )[0]
    return positions


def warm_up(
    model: Qwen2VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    *,
    steps: int,
    stop_after: int | None = None,
    batch_size: int = BATCH_SIZE,
    draw: str = "warm-up",
    progress: Progress = lambda step, steps, loss: None,
) -> None:
    """Trains on lessons of a draw by AdamW: a short rise, then a cosine to zero.

    Deterministic with a given number of torch threads.

    Args:
        steps: length of the schedule.
        stop_after: steps really taken; default all.
    """
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01
    )
    for step in range(steps if stop_after is None else stop_after):
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * _rate(step, steps)
        first = step * batch_size
        lessons = [lesson(draw, index) for index in range(first, first + batch_size)]
        batches = [make_batch(part, tokenizer) for part in _by_length(lessons)]
        tokens = sum(batch.n_labels() for batch in batches)
        optimizer.zero_grad()
        loss = 0.0
        for batch in batches:
            share = batch_loss(model, batch) * (batch.n_labels() / tokens)
            share.backward()
            loss += share.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        progress(step + 1, steps, loss)
    model.eval()


def _by_length(lessons: Sequence[Lesson]) -> tuple[Sequence[Lesson], Sequence[Lesson]]:
    """The shorter three quarters and the longer rest, so that little is padded."""
    ordered = sorted(lessons, key=lambda one: len(one.prompt) + len(one.response))
    cut = len(ordered) * 3 // 4
    return ordered[:cut], ordered[cut:]


def _rate(step: int, steps: int) -> float:
    rising = 0.03 * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))
