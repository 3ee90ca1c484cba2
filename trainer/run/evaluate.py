"""Scores a model on benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list, gather_object
from transformers import LogitsProcessorList

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
from trainer.run import responses as kept_responses
from trainer.run.draws import TokenDraws, uniforms
from trainer.run.generation import own_settings_aside
from trainer.storage.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of the items this process answers, of all that evaluate together."""

    index: int = 0
    count: int = 1


def evaluate(
    model: Any,
    processor: Any,
    benchmarks: Mapping[str, ItemSet],
    recipe: Recipe,
    *,
    step: int,
    progress: Callable[[str, int, int], None] = lambda benchmark, done, total: None,
    folder: RunFolder | None = None,
    share: Share = Share(),
) -> list[Measurement]:
    """Each benchmark's measurements: by the paper's rule (`paper`), then by each official one.

    Deterministic: where answers are drawn (temperature above 0) each item has its own fixed
    numbers. Every process gets all measurements. `progress` is told (benchmark, items done, items
    in all) after each batch.

    Args:
        model: None where all responses are kept already.
        folder: where responses are kept; those already there are not asked for again.

    Raises:
        FileNotFoundError: there is no model, and a benchmark's responses are not kept.
    """
    total = sum(len(items.rows) for items in benchmarks.values())
    done = 0
    measurements = []
    for name, items in benchmarks.items():
        file = None if folder is None else folder.responses(step, name)
        kept = _kept(file, share)
        if kept is not None:
            responses = kept
            progress(name, done + len(items.rows), total)
        elif model is None:
            raise FileNotFoundError(f"{file} is gone; the model of step {step} is no more")
        else:
            responses = _answers(
                model,
                processor,
                items.rows,
                recipe,
                name,
                share,
                lambda answered, name=name, done=done: progress(name, done + answered, total),  # type: ignore[misc]
            )
        done += len(items.rows)
        cases = list(map(official_case, responses, items.rows))
        if file is not None and kept is None and share.index == 0:
            kept_responses.write(file, name, step, items.rule, items.rows, responses, cases)
        scores = [
            answer_score(response, row.answer, row.answer_type, items.rule, row.extra)
            for response, row in zip(responses, items.rows, strict=True)
        ]
        measurements.append(measurement(name, corpus.mean(scores), len(scores), step))
        for rule in map(rule_named, items.official):
            found = rule.of_all(cases)
            measurements.append(measurement(name, found, len(cases), step, rule.name))
    return measurements


def _kept(file: Path | None, share: Share) -> list[str] | None:
    """The responses that the first process finds, for all of them: others may not see its disk."""
    found: list[list[str] | None] = [None]
    if file is not None and share.index == 0 and file.exists():
        found = [kept_responses.read(file)["response"].to_pylist()]
    if share.count > 1:
        broadcast_object_list(found)
    return found[0]


def _answers(
    model: Any,
    processor: Any,
    rows: Sequence[Row],
    recipe: Recipe,
    benchmark: str,
    share: Share,
    progress: Callable[[int], None],
) -> list[str]:
    """The model's response to each row; processes take batches in turn and exchange them.

    All processes answer the same number of batches (the last one again where they do not divide),
    because sharded models compute only together.
    """
    size = recipe.evaluation.batch_size
    starts = range(0, len(rows), size)
    mine = list(starts[share.index :: share.count])
    mine += [starts[-1]] * (-(-len(starts) // share.count) - len(mine))
    answered: dict[int, list[str]] = {}
    model.eval()
    for number, start in enumerate(mine, 1):
        batch = rows[start : start + size]
        streams = [[*benchmark.encode(), start + i] for i in range(len(batch))]
        answered[start] = respond(model, processor, batch, recipe, streams)
        progress(min(len(rows), number * size * share.count))
    if share.count > 1:
        everyone: list[tuple[int, list[str]]] = gather_object(list(answered.items()))
        answered = dict(everyone)
    return [response for start in starts for response in answered[start]]


def official_case(response: str, row: Row) -> Case:
    """A response as a benchmark's own rule reads it: the answer's text, and never a thought.

    The paper's gate does not hold here: an answer outside the tags is an answer too.
    """
    extra = dict(row.extra)
    if row.answer_type == "boxes" and row.images:
        thousandths = row.coordinates == "thousandths"
        extra["grid"] = [1000, 1000] if thousandths else list(row.images[0].size)
    return Case(answer_part(response), row.answer, extra)


def respond(
    model: Any,
    processor: Any,
    rows: Sequence[Row],
    recipe: Recipe,
    streams: Sequence[Sequence[int]],
) -> list[str]:
    """The model's response text to each row: greedily, or drawn by the row's own numbers."""
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
    temperature, tokens = recipe.evaluation.temperature, recipe.max_completion_tokens
    sampling: dict[str, Any] = {"do_sample": False}
    if temperature > 0:
        draws = TokenDraws(uniforms(streams, tokens), temperature)
        sampling["logits_processor"] = LogitsProcessorList([draws])
    # Not inference_mode: sharded models keep what they gather.
    with torch.no_grad(), own_settings_aside(model, processor.tokenizer):
        generated = model.generate(**inputs, max_new_tokens=tokens, use_cache=True, **sampling)
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
