"""Drawing tokens so that each completion depends on nothing but itself.

Torch's generator gives a completion other tokens when the batch around it changes. Here each row
has uniform numbers of its own, made from what it is (the sample's place in the order, or the item's
in its benchmark), so completions are the same on one process or eight, after a resume, and in
batches of any size, but for rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList


def uniforms(streams: Sequence[Sequence[int]], tokens: int) -> np.ndarray:
    """Numbers in [0, 1), shape (rows, tokens); a row's follow from its stream's integers alone."""
    return np.stack([np.random.default_rng(list(stream)).random(tokens) for stream in streams])


class TokenDraws(LogitsProcessor):
    """Leaves each row one token, drawn from the softmax of its scores by inverting its CDF.

    Args:
        numbers: shape (rows, tokens), in [0, 1).
        temperature: above 0.
    """

    def __init__(self, numbers: np.ndarray, temperature: float) -> None:
        self._numbers = torch.from_numpy(numbers)
        self._temperature = temperature
        self._start: int | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self._start is None:
            self._start = input_ids.shape[1]
            self._numbers = self._numbers.to(scores.device)
        drawn = self._numbers[:, input_ids.shape[1] - self._start]
        sums = torch.softmax(scores.double() / self._temperature, dim=-1).cumsum(dim=-1)
        # Of equal sums the last one is passed, so a token of probability 0 is never drawn.
        chosen = torch.searchsorted(sums, drawn[:, None] * sums[:, -1:], right=True)
        left = torch.full_like(scores, -torch.inf)
        return left.scatter_(1, chosen.clamp_(max=scores.shape[1] - 1), 0.0)


@contextmanager
def drawing(model: Any, draws: TokenDraws, **options: Any) -> Iterator[None]:
    """Within, `model.generate` draws so, with these options; for callers that cannot pass them."""
    own = vars(model).get("generate")  # FSDP gives a model one that gathers what it needs
    model.generate = partial(
        model.generate, logits_processor=LogitsProcessorList([draws]), **options
    )
    try:
        yield
    finally:
        del model.generate
        if own is not None:
            model.generate = own
