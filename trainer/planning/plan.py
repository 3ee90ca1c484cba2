"""What a recipe will do, before a GPU is spent on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from service.schemas import Phase
from trainer.catalog import DOMAINS
from trainer.data import training_rows
from trainer.domains.errors import DataError
from trainer.job import Job
from trainer.planning import memory
from trainer.planning.shapes import Shape, shape_of
from trainer.recipe import Recipe
from trainer.sampler import draw_phases
from trainer.tiny.world import BENCHMARKS

FORMULA = (
    "total = 1.1 (weights + casts + reference + gradients + optimizer + cache + max(activations + "
    "logits, evaluation)) + rest; host memory apart; each term in docs/reference/recipe.md"
)


def check(
    recipe: Recipe,
    mixture: Mapping[str, float] | None,
    root: Path,
    *,
    gpus: int = 1,
    seed: int = 0,
    schedule: Sequence[Phase] = (),
) -> dict[str, Any]:
    """What a recipe does in sentences (`does`), a mixture's `reach`, and `memory` in bytes.

    Raises:
        RecipeError: the model's configuration is not found.
        DataError: with a mixture, its datasets are not prepared.
    """
    shape = shape_of(recipe.model)
    parts = memory.estimate(recipe, shape, gpus)
    terms = asdict(parts)
    host, _ = terms.pop("host"), terms.pop("cache_stays")
    job = None
    if mixture is not None:
        job = Job(mixture, recipe, seed, root, schedule=tuple(schedule))
    does = sentences(recipe, memory.trained_parameters(recipe, shape), shape.parameters, gpus)
    if recipe.backend != "command":
        does.append(_checkpointing(recipe, shape, gpus))
    return {
        "does": does,
        "reach": None if job is None else reach(job),
        "memory": terms | {"total": parts.total, "host": host},
        "memory_formula": FORMULA,
    }


def _checkpointing(recipe: Recipe, shape: Shape, gpus: int) -> str:
    kept, twice = (
        memory.estimate(recipe, shape, gpus, checkpointing=on).training / memory.GIB
        for on in (False, True)
    )
    how = {
        True: "twice",
        False: "once",
        "auto": "twice where memory is too small",
    }
    return (
        f"Activations are computed {how[recipe.gradient_checkpointing]} (gradient_checkpointing): "
        f"a step takes {kept:.1f} GiB in all with them once, {twice:.1f} GiB twice."
    )


def reach(job: Job) -> dict[str, Any]:
    """Steps and samples of the very order that a run trains on.

    Where a domain of the paper's is not prepared yet, its size is the paper's.

    Raises:
        DataError: a domain has no prepared folder, and is none of the paper's.
    """
    prompts = job.recipe.prompts_per_step
    used = [name for name, weight in job.mixture.items() if weight > 0]
    sizes = _sizes(job.recipe, job.data, used)
    order = draw_phases(job.phases, sizes, job.run_seed).whole_steps(prompts)
    return {
        "steps": order.steps(prompts),
        "exhausted": order.exhausted,
        "samples": order.counts(),
        "sizes": sizes,
    }


def _sizes(recipe: Recipe, root: Path, domains: list[str]) -> dict[str, int]:
    try:
        rows = training_rows(recipe, root, domains)
    except DataError:
        known = {name: DOMAINS[name].paper_rows for name in domains if name in DOMAINS}
        sizes = {name: size for name, size in known.items() if size is not None}
        if len(sizes) < len(domains):
            raise
        return sizes
    return {name: len(items.rows) for name, items in rows.items()}


def sentences(recipe: Recipe, trained: int, parameters: int, gpus: int) -> list[str]:
    """The run in words, a sentence a topic."""
    if recipe.backend == "command" and recipe.command is not None:
        limit = recipe.command.time_limit_s
        until = "for as long as it takes" if limit is None else f"at most {limit:,.0f} s"
        return [f"Runs {recipe.command.script} of the worker's commands, {until}."]
    sentences = [
        f"Model: {recipe.model}, {parameters / 1e6:,.1f} M parameters, dtype {recipe.dtype}; "
        f"trains {trained / 1e6:,.1f} M of them "
        + ("by adapters (LoRA)" if recipe.lora else "in full")
        + (", vision tower frozen." if recipe.freeze_vision else ", vision tower too."),
        f"Step: {recipe.prompts_per_step} prompts x {recipe.generations} completions of up to "
        f"{recipe.max_completion_tokens} tokens at temperature {recipe.temperature:g}, in "
        f"{recipe.gradient_accumulation} piece(s) on each of {gpus} process(es); generation by "
        + ("transformers." if recipe.vllm.mode == "off" else f"vLLM ({recipe.vllm.mode})."),
        f"Rewards: {', '.join(f'{w:g} x {name}' for name, w in recipe.reward_weights.items())}; "
        f"loss {recipe.loss}, KL coefficient {recipe.beta:g}.",
        f"Schedule: at most {recipe.steps:,} steps, learning rate {recipe.learning_rate:g}, "
        f"{recipe.schedule} after {round(recipe.warmup_share * recipe.steps):,} steps of warm-up.",
        "Optimizer: AdamW on "
        + (
            "a copy of the trained weights in float32"
            if memory.has_masters(recipe)
            else "float32 weights"
        )
        + (", in host memory." if recipe.adamw.offload else "."),
        f"Scored at: {', '.join(f'{at:,}' for at in recipe.evaluation_points(recipe.steps))}, on "
        f"{', '.join(recipe.data.benchmarks if recipe.data else BENCHMARKS)}, "
        + (f"{recipe.evaluation.limit:,} items each" if recipe.evaluation.limit else "all items")
        + (
            f" ({recipe.evaluation.limit_on_the_way:,} each before the last)."
            if recipe.evaluation.limit_on_the_way
            else "."
        ),
    ]
    if recipe.adaptive is not None:
        sentences.append(
            "Draw: adaptive, by the mixture and the spread of rewards within groups; a domain "
            f"keeps at least {recipe.adaptive.floor:.0%} of its weight. Reach and samples are "
            "those of the mixture's own draw; the run has as many steps."
        )
    sentences.append(_speed(recipe))
    every = recipe.checkpoints.every
    sentences.append(
        "Checkpoints: none, so a killed run starts over."
        if every is None
        else f"Checkpoints: every {every:,} steps, the newest {recipe.checkpoints.keep} kept."
    )
    return sentences


def _speed(recipe: Recipe) -> str:
    speed = recipe.speed
    parts = [
        "pictures are processed "
        + (
            f"once ({speed.kept_gib:g} GiB of host memory keep them"
            + (" or their features)" if speed.features and recipe.freeze_vision else ")")
            if speed.pictures_once
            else "for each that sees them"
        ),
        "decoding is "
        + {True: "compiled", False: "not compiled", "auto": "compiled on a GPU where it can be"}[
            speed.compiled
        ],
    ]
    if (
        memory.has_masters(recipe)
        and recipe.dtype == "bfloat16"
        and recipe.gradient_accumulation > 1
    ):
        parts.append("gradients of a step's pieces are added up in bfloat16")
    return "Speed: " + "; ".join(parts) + "."
