"""Scores a model on benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from rewards import corpus
from rewards.cases import Case
from rewards.corpus import Estimate
from rewards.rules import rule_named
from rewards.scoring import answer_score
from rewards.tags import answer_part
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
    """Each benchmark's measurements: by the paper's rule (`paper`), then by each official one.

    Deterministic: where answers are drawn (temperature above 0) each benchmark has its own fixed
    seed. `progress` is told (benchmark, items done, items in all) after each batch.
    """
    total = sum(len(items.rows) for items in benchmarks.values())
    done = 0
    measurements = []
    model.eval()
    for name, items in benchmarks.items():
        torch.manual_seed(int.from_bytes(name.encode()[:7], "big"))
        official = [rule_named(rule) for rule in items.official]
        scores: list[float] = []
        cases: list[Case] = []
        for batch in _batches(items.rows, recipe.evaluation.batch_size):
            responses = respond(model, processor, batch, recipe)
            scores += [
                answer_score(response, row.answer, row.answer_type, items.rule, row.extra)
                for response, row in zip(responses, batch, strict=True)
            ]
            if official:
                cases += map(official_case, responses, batch)
            done += len(batch)
            progress(name, done, total)
        measurements.append(measurement(name, corpus.mean(scores), len(scores), step))
        for rule in official:
            found = rule.of_all(cases)
            measurements.append(measurement(name, found, len(cases), step, rule.name))
    return measurements


def official_case(response: str, row: Row) -> Case:
    """A response as a benchmark's own rule reads it: the answer's text, and never a thought.

    The paper's gate does not hold here: an answer outside the tags is an answer too.
    """
    extra = dict(row.extra)
    if row.answer_type == "boxes" and row.images:
        thousandths = row.coordinates == "thousandths"
        extra["grid"] = [1000, 1000] if thousandths else list(row.images[0].size)
    return Case(answer_part(response), row.answer, extra)


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


def measurement(
    benchmark: str, found: Estimate, samples: int, step: int, rule: str = "paper"
) -> Measurement:
    """A benchmark's score under a rule, as the service takes it."""
    return Measurement(
        benchmark=benchmark, score=found.score, samples=samples, step=step, rule=rule, se=found.se
    )


def _batches(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
