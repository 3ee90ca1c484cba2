"""A model's answers to the items of a benchmark: which are asked together, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate.utils import gather_object
from transformers import LogitsProcessorList

from trainer.prompts import as_response, messages
from trainer.recipe import Recipe
from trainer.rows import Row, length_of
from trainer.run.ahead import Ahead
from trainer.run.decoding import Decoding
from trainer.run.draws import TokenDraws, uniforms
from trainer.run.generation import ends_of, own_settings_aside
from trainer.run.processors import scaled
from trainer.run.vllm_engine import Engine

FIRST_TOKENS, GROWTH = 128, 4
"""Tokens that all answers may have at first, and how many times as many those that need more."""


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of the items this process answers, of all that evaluate together."""

    index: int = 0
    count: int = 1


ALONE = Share()


def answers(
    model: Any,
    processor: Any,
    rows: Sequence[Row],
    recipe: Recipe,
    benchmark: str,
    share: Share = ALONE,
    progress: Callable[[int], None] = lambda answered: None,
    decoding: Decoding | None = None,
    engine: Engine | None = None,
    first_tokens: int = FIRST_TOKENS,
    growth: int = GROWTH,
) -> list[str]:
    """The model's response to each row; processes take batches in turn and exchange them.

    A batch lasts as long as its longest answer. So those that are not at their end after few tokens
    are set aside, and go on together where they were. All processes answer the same number of
    batches (some again where they do not divide), because sharded models compute only together.

    Args:
        progress: told how many rows are answered, of all processes' about.
        decoding: how the model decodes; None for plainly.
        engine: answers instead of the model.
        first_tokens, growth: tokens that all may have at first, and how many times as many then.
    """
    size, speed = recipe.evaluation.batch_size, recipe.speed
    order = list(range(len(rows)))
    if speed.evaluation_sorted:
        most = int(processor.image_processor.size["longest_edge"])
        order.sort(key=lambda index: length_of(rows, index, most), reverse=True)
    # 1. What this process answers: every so-manieth batch.
    mine = [i for batch in _batches(order, size)[share.index :: share.count] for i in batch]
    said: dict[int, list[int]] = {index: [] for index in mine}

    def read(index: int) -> Row:
        # Two batches of rows wait in memory, and a benchmark's pictures may be of any size.
        row = rows[index]
        row = replace(row, images=tuple(scaled(image, processor) for image in row.images))
        if engine is None:
            processor.prepare(row.images)
        return row

    model.eval()
    begun, spare = mine, mine or order[:1]
    with closing(Ahead(read, 2 * size, in_thread=speed.prefetch)) as read_rows:
        for until in _stages(
            recipe.answer_tokens,
            first_tokens if speed.evaluation_stages and engine is None else recipe.answer_tokens,
            growth,
        ):
            # 2. All that is not at its end goes on until that many tokens.
            batches = _batches(begun, size)
            begun = []
            for number in range(_most(len(batches), share)):
                batch = batches[number] if number < len(batches) else spare[:size]
                asked = [read_rows.get(index) for index in batch]
                # Only now: what was read first goes first when there are too many.
                read_rows.expect(batches[number + 1] if number + 1 < len(batches) else ())
                streams = [[*benchmark.encode(), index] for index in batch]
                if engine is None:
                    before = [said[index] if number < len(batches) else [] for index in batch]
                    tokens = _generate(
                        model,
                        processor,
                        asked,
                        recipe,
                        streams,
                        before,
                        until,
                        decoding or Decoding(),
                    )
                else:
                    tokens = _ask(engine, model, processor, asked, recipe, streams)
                for index, (more, ended) in zip(batch, tokens, strict=True):
                    if number < len(batches):
                        said[index] += more
                        begun += [] if ended else [index]
                done = len(mine) - len(begun) - sum(map(len, batches[number + 1 :]))
                progress(min(len(rows), done * share.count))
    progress(len(rows))
    # 3. Words, in the items' order.
    found = {
        index: processor.decode(tokens, skip_special_tokens=True) for index, tokens in said.items()
    }
    if share.count > 1:
        everyone: list[tuple[int, str]] = gather_object(list(found.items()))
        found = dict(everyone)
    return [as_response(found[index], recipe.prompt) for index in range(len(rows))]


def _batches(order: Sequence[int], size: int) -> list[Sequence[int]]:
    return [order[start : start + size] for start in range(0, len(order), size)]


def _stages(tokens: int, first: int, growth: int) -> list[int]:
    """Tokens until which answers go on, one stage after the other."""
    stages, few = [], first
    while few < tokens:
        stages.append(few)
        few *= growth
    return [*stages, tokens]


def _most(batches: int, share: Share) -> int:
    return batches if share.count == 1 else max(gather_object([batches]))


def _generate(
    model: Any,
    processor: Any,
    rows: list[Row],
    recipe: Recipe,
    streams: list[list[int]],
    said: list[list[int]],
    until: int,
    decoding: Decoding,
) -> list[tuple[list[int], bool]]:
    """Tokens after those said, which are equally many for all rows, and whether they end there."""
    done, last = len(said[0]), until >= recipe.answer_tokens
    ends = ends_of(model, processor.tokenizer)

    def generate() -> torch.Tensor:
        # What fills a batch up is its last row once more, and then left out.
        filling = decoding.rows(len(rows), recipe.evaluation.batch_size) - len(rows)
        inputs = prompt_inputs(
            processor, [*rows, *rows[-1:] * filling], recipe, [*said, *said[-1:] * filling]
        )
        padded = _padded(inputs, processor.tokenizer.pad_token_id, decoding.width)
        width = padded["input_ids"].shape[1]
        sampling: dict[str, Any] = {"do_sample": False}
        if recipe.evaluation.temperature > 0:
            numbers = uniforms([*streams, *streams[-1:] * filling], until)[:, done:]
            draws = TokenDraws(numbers, recipe.evaluation.temperature)
            sampling["logits_processor"] = LogitsProcessorList([draws])
        # Not inference_mode: sharded models keep what they gather.
        with torch.no_grad(), own_settings_aside(model, processor.tokenizer):
            found: torch.Tensor = model.generate(
                **{name: value.to(model.device) for name, value in padded.items()},
                max_new_tokens=until - done,
                use_cache=True,
                # As in training, where one would have no picture of its own.
                suppress_tokens=[processor.image_token_id],
                **sampling,
                **decoding.options(model, len(rows) + filling, width + until - done),
            )
        return found[: len(rows), width:]

    cut = [_until_end(tokens, ends) for tokens in decoding.run(generate).tolist()]
    return [(tokens, last or tokens[-1] in ends) for tokens in cut]


def _ask(
    engine: Engine,
    model: Any,
    processor: Any,
    rows: list[Row],
    recipe: Recipe,
    streams: list[list[int]],
) -> list[tuple[list[int], bool]]:
    prompts = processor.tokenizer(_prompts(processor, rows, recipe))["input_ids"]
    found = engine.answers(
        prompts,
        [row.images for row in rows],
        streams,
        tokens=recipe.answer_tokens,
        temperature=recipe.evaluation.temperature,
        ends=ends_of(model, processor.tokenizer),
    )
    return [(tokens, True) for tokens in found]


def _prompts(processor: Any, rows: Sequence[Row], recipe: Recipe) -> list[str]:
    return [
        processor.apply_chat_template(
            messages(row, recipe.prompt), tokenize=False, add_generation_prompt=True
        )
        for row in rows
    ]


def prompt_inputs(
    processor: Any, rows: Sequence[Row], recipe: Recipe, said: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """What a model reads of each row, with what it has said already; sequences as lists.

    Args:
        rows: with their images scaled to the processor's cap.
    """
    images = [image for row in rows for image in row.images]
    inputs = dict(processor(text=_prompts(processor, rows, recipe), images=images or None))
    del inputs["attention_mask"]
    pairs = zip(inputs["input_ids"], said, strict=True)
    inputs["input_ids"] = [[*prompt, *more] for prompt, more in pairs]
    if "mm_token_type_ids" in inputs:
        kinds = zip(inputs["mm_token_type_ids"], said, strict=True)
        inputs["mm_token_type_ids"] = [[*kind, *[0] * len(more)] for kind, more in kinds]
    return inputs


def _padded(
    inputs: dict[str, Any], pad: int, width_for: Callable[[int], int]
) -> dict[str, torch.Tensor]:
    """Tensors, sequences padded on the left."""
    prompts = inputs["input_ids"]
    width = width_for(max(map(len, prompts)))

    def left(sequences: Sequence[Sequence[int]], value: int) -> torch.Tensor:
        return torch.tensor([[value] * (width - len(one)) + list(one) for one in sequences])

    made = {
        "input_ids": left(prompts, pad),
        "attention_mask": left([[1] * len(one) for one in prompts], 0),
    }
    for name, value in inputs.items():
        if name == "mm_token_type_ids":
            made[name] = left(value, 0)
        elif name != "input_ids":
            made[name] = torch.as_tensor(value)
    return made


def _until_end(tokens: list[int], ends: Sequence[int]) -> list[int]:
    for place, token in enumerate(tokens):
        if token in ends:
            return tokens[: place + 1]
    return tokens
