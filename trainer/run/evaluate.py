"""Scores a model on benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list

from rewards import corpus
from rewards.cases import Case
from rewards.corpus import Estimate
from rewards.rules import rule_named
from rewards.scoring import answer_score
from rewards.tags import answer_part
from service.schemas import Measurement
from trainer.data import ItemSet
from trainer.recipe import Recipe
from trainer.rows import Row, unseen
from trainer.run import responses as kept_responses
from trainer.run.answers import ALONE, Share, answers
from trainer.run.decoding import Decoding
from trainer.run.vllm_engine import Engine
from trainer.storage.run_folder import RunFolder


def evaluate(
    model: Any,
    processor: Any,
    benchmarks: Mapping[str, ItemSet],
    recipe: Recipe,
    *,
    step: int,
    progress: Callable[[str, int, int], None] = lambda benchmark, done, total: None,
    folder: RunFolder | None = None,
    share: Share = ALONE,
    decoding: Decoding | None = None,
    engine: Engine | None = None,
    scored: Callable[[list[Measurement]], None] = lambda found: None,
) -> list[Measurement]:
    """Each benchmark's measurements: by the paper's rule (`paper`), then by each official one.

    Deterministic: where answers are drawn (temperature above 0) each item has its own fixed
    numbers. Every process gets all measurements. `progress` is told (benchmark, items done, items
    in all) after each batch.

    Args:
        model: None where all responses are kept already.
        folder: where responses are kept; those already there are not asked for again.
        decoding: how the model decodes; None for plainly.
        engine: answers in the model's stead.
        scored: told each benchmark's measurements once they are known.

    Raises:
        FileNotFoundError: there is no model, and a benchmark's responses are not kept.
    """
    total = sum(len(items.rows) for items in benchmarks.values())
    done = 0
    measurements: list[Measurement] = []
    for name, items in benchmarks.items():
        file = None if folder is None else folder.responses(step, name)
        kept = _kept(file, share)
        if kept is not None:
            responses = kept
            progress(name, done + len(items.rows), total)
        elif model is None:
            raise FileNotFoundError(f"{file} is gone; the model of step {step} is no more")
        else:
            responses = answers(
                model,
                processor,
                items.rows,
                recipe,
                name,
                share,
                lambda answered, name=name, done=done: progress(name, done + answered, total),  # type: ignore[misc]
                decoding,
                engine,
            )
        done += len(items.rows)
        rows, cases = [], []
        for response, row in zip(responses, unseen(items.rows), strict=True):
            cases.append(official_case(response, row))
            rows.append(replace(row, images=()))
        if file is not None and kept is None and share.index == 0:
            kept_responses.write(file, name, step, items.rule, rows, responses, cases)
        scores = [
            answer_score(response, row.answer, row.answer_type, items.rule, row.extra)
            for response, row in zip(responses, rows, strict=True)
        ]
        found = [measurement(name, corpus.mean(scores), len(scores), step)]
        found += [
            measurement(name, rule.of_all(cases), len(cases), step, rule.name)
            for rule in map(rule_named, items.official)
        ]
        scored(found)
        measurements += found
    return measurements


def _kept(file: Path | None, share: Share) -> list[str] | None:
    """The responses that the first process finds, for all of them: others may not see its disk."""
    found: list[list[str] | None] = [None]
    if file is not None and share.index == 0 and file.exists():
        found = [kept_responses.read(file)["response"].to_pylist()]
    if share.count > 1:
        broadcast_object_list(found)
    return found[0]


def official_case(response: str, row: Row) -> Case:
    """A response as a benchmark's own rule reads it: the answer's text, and never a thought.

    The paper's gate does not hold here: an answer outside the tags is an answer too.
    """
    extra = dict(row.extra)
    if row.answer_type == "boxes" and row.images:
        thousandths = row.coordinates == "thousandths"
        extra["grid"] = [1000, 1000] if thousandths else list(row.images[0].size)
    return Case(answer_part(response), row.answer, extra)


def measurement(
    benchmark: str, found: Estimate, samples: int, step: int, rule: str = "paper"
) -> Measurement:
    """A benchmark's score under a rule, as the service takes it."""
    return Measurement(
        benchmark=benchmark, score=found.score, samples=samples, step=step, rule=rule, se=found.se
    )
