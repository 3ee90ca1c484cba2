"""Vectors of rows by a sentence, vision or vision-language model of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from trainer.domains.errors import DataError
from trainer.rows import Row

BATCH = 16
MOST_TOKENS = 256
"""Of a row's words, or as many as the model takes; the rest is not looked at."""

Embedded = Callable[[Sequence[Row]], NDArray[np.float64]]


def embedder(folder: Path) -> Embedded:
    """What makes (n, q) vectors of n rows: the means of a model's last hidden states over tokens or
    patches. A model of words and pictures in one space (CLIP) is asked for both; one with a
    tokenizer for the words; another one for each row's first picture.

    Raises:
        DataError: the folder has no model that transformers knows.
    """
    try:
        model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
        # Which of the two there is says what a model reads.
        tokenizer, processor = _or_none(AutoTokenizer, folder), _or_none(AutoImageProcessor, folder)
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"{folder} has no model that can be loaded: {error}") from error
    if tokenizer is not None and tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    reads_both = hasattr(model, "get_text_features") and hasattr(model, "get_image_features")
    if tokenizer is None and processor is None:
        raise DataError(f"{folder} has neither a tokenizer nor an image processor")

    def embedded(rows: Sequence[Row]) -> NDArray[np.float64]:
        with torch.inference_mode():
            if reads_both and tokenizer is not None and processor is not None:
                parts = [_by_words(model, tokenizer, rows), _by_pictures(model, processor, rows)]
            elif tokenizer is not None:
                parts = [_by_words(model, tokenizer, rows)]
            else:
                parts = [_by_pictures(model, processor, rows)]
        return np.hstack(parts)

    return embedded


def _or_none(kind: Any, folder: Path) -> Any:
    try:
        return kind.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, ImportError):
        return None


def _by_words(model: Any, tokenizer: Any, rows: Sequence[Row]) -> NDArray[np.float64]:
    found, most = [], min(MOST_TOKENS, tokenizer.model_max_length, _places(model))
    for some in _batches(rows):
        texts = ["\n".join((row.question, *row.choices)) for row in some]
        given = tokenizer(
            texts, return_tensors="pt", padding=True, truncation=True, max_length=most
        )
        mask = given["attention_mask"]
        kept = {"input_ids": given["input_ids"], "attention_mask": mask}
        if hasattr(model, "get_text_features"):
            found.append(_vectors(model.get_text_features(**kept)))
            continue
        states = model(**kept).last_hidden_state.float()
        found.append((states * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True))
    return torch.cat(found).double().numpy()


def _by_pictures(model: Any, processor: Any, rows: Sequence[Row]) -> NDArray[np.float64]:
    """A row without a picture is at the origin."""
    found, has_one = [], []
    for some in _batches(rows):
        images = [row.images[0].convert("RGB") for row in some if row.images]
        has_one += [bool(row.images) for row in some]
        if not images:
            continue
        pixels = processor(images, return_tensors="pt")["pixel_values"]
        if hasattr(model, "get_image_features"):
            found.append(_vectors(model.get_image_features(pixel_values=pixels)))
            continue
        states = model(pixel_values=pixels).last_hidden_state.float()
        found.append(states.mean(dim=(2, 3) if states.ndim == 4 else 1))
    if not found:
        raise DataError("a vision model looks at pictures, and a dataset has none")
    seen = torch.cat(found).double().numpy()
    vectors = np.zeros((len(rows), seen.shape[1]))
    vectors[has_one] = seen
    return vectors


def _places(model: Any) -> int:
    """Tokens that a model has places for; those of CLIP are 77."""
    config = model.config.get_text_config()
    return getattr(config, "max_position_embeddings", None) or MOST_TOKENS


def _vectors(found: Any) -> torch.Tensor:
    """Newer releases of transformers answer with more than the vectors."""
    vectors: torch.Tensor = getattr(found, "pooler_output", found)
    return vectors.float()


def _batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for first in range(0, len(rows), BATCH):
        yield rows[first : first + BATCH]
