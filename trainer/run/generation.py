"""What a model's own generation settings have a say in: nothing but its special tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import GenerationConfig

from trainer.run.adapters import is_peft_model


@contextmanager
def own_settings_aside(model: Any, tokenizer: Any) -> Iterator[None]:
    """Within, `model.generate` does what its caller says and else what transformers does.

    A published model comes with settings for chats (Qwen2.5-VL: a repetition penalty of 1.05), and
    transformers takes from them whatever a caller leaves open. They are put back afterwards, so a
    checkpoint has them.

    Args:
        model: transformers' own, or peft's around it.
        tokenizer: whose end ends a completion, as each one of the model's does.
    """
    inner = _inner(model)
    own = inner.generation_config
    inner.generation_config = GenerationConfig(
        bos_token_id=own.bos_token_id,
        eos_token_id=ends_of(model, tokenizer) or None,
        pad_token_id=tokenizer.pad_token_id,
    )
    try:
        yield
    finally:
        inner.generation_config = own


def ends_of(model: Any, tokenizer: Any) -> list[int]:
    """Tokens that end a completion: the model's and the tokenizer's."""
    models, tokenizers = _inner(model).generation_config.eos_token_id, tokenizer.eos_token_id
    ends = [] if models is None else [models] if isinstance(models, int) else list(models)
    if tokenizers is not None and tokenizers not in ends:
        ends.append(tokenizers)
    return ends


def _inner(model: Any) -> Any:
    return model.get_base_model() if is_peft_model(model) else model
