"""Scores a model on benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rewards.scoring import answer_score
from service.schemas import Measurement
from trainer.data import ItemSet
from trainer.prompts import as_response, messages
from trainer.recipe import Recipe
from trainer.rows import Row


def evaluate(
    model: Any,
    processor: Any,
    benchmarks: Mapping[str, ItemSet],
    recipe: Recipe,
    *,
    step: int,
    progress: Callable[[str, int, int], None] = lambda benchmark, done, total: None,
) -> list[Measurement]:
    """One measurement a benchmark, by the paper's rules: IoU for boxes, exact match for all else.

    Deterministic: where answers are drawn (temperature above 0) each benchmark has its own fixed
    seed. `progress` is told (benchmark, items done, items in all) after each batch.
    """
    total = sum(len(items.rows) for items in benchmarks.values())
    done = 0
    measurements = []
    model.eval()
    for name, items in benchmarks.items():
        torch.manual_seed(int.from_bytes(name.encode()[:7], "big"))
        scores: list[float] = []
        for batch in _batches(items.rows, recipe.evaluation.batch_size):
            responses = respond(model, processor, batch, recipe)
            scores += [
                answer_score(response, row.answer, row.answer_type)
                for response, row in zip(responses, batch, strict=True)
            ]
            done += len(batch)
            progress(name, done, total)
        measurements.append(measurement(name, scores, step))
    return measurements


def respond(model: Any, processor: Any, rows: Sequence[Row], recipe: Recipe) -> list[str]:
    """The model's response text to each row."""
    prompts = [
        processor.apply_chat_template(
            messages(row, recipe.prompt), tokenize=False, add_generation_prompt=True
        )
        for row in rows
    ]
    inputs = processor(
        text=prompts,
        images=[image for row in rows for image in row.images] or None,
        padding=True,
        return_tensors="pt",
    ).to(model.device)
    temperature = recipe.evaluation.temperature
    sampling = (
        {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        if temperature > 0
        else {"do_sample": False}
    )
    with torch.inference_mode():
        generated = model.generate(
            **inputs, max_new_tokens=recipe.max_completion_tokens, use_cache=True, **sampling
        )
    completions = generated[:, inputs["input_ids"].shape[1] :]
    texts = processor.batch_decode(completions, skip_special_tokens=True)
    return [as_response(text, recipe.prompt) for text in texts]


def measurement(benchmark: str, scores: Sequence[float], step: int) -> Measurement:
    """Mean score of the items.

    The sampling error is left to the binomial where all items are right or wrong, and is the
    standard error of the mean otherwise.
    """
    values = np.asarray(scores)
    graded = bool(np.any((values > 0) & (values < 1)))
    se = float(values.std(ddof=1) / np.sqrt(len(values))) if graded and len(values) > 1 else None
    return Measurement(
        benchmark=benchmark, score=float(values.mean()), samples=len(values), step=step, se=se
    )


def _batches(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
