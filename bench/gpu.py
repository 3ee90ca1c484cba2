"""The paper's step on one GPU: seconds, tokens, peak memory, model FLOP use, 2,000 steps.

`python -m bench.gpu [--steps 6] [--completion-tokens 256] [--lora] [--small]`

Builds a model of Qwen2-VL-2B's shape with random weights (nothing is downloaded) and trains it by
the shipped recipe `single-gpu` on 640 x 640 pictures of noise. Random weights never end a
completion, so each has exactly `--completion-tokens`: a step of a real model is as fast as its
longest completion. `--small` runs the same script on a small model wherever it is started.
"""

from __future__ import annotations

import platform
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
import transformers
import trl
import typer
from PIL import Image
from transformers import AutoModelForImageTextToText
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from bench.report import read_results, table, write_results, write_section
from bench.trainer import Clock
from trainer import recipes
from trainer.data import ItemSet
from trainer.planning import memory
from trainer.planning.shapes import QWEN2_VL_2B, Shape, from_config, published
from trainer.recipe import Recipe
from trainer.rows import Row
from trainer.run import models
from trainer.run.grpo import MixtureTrainer
from trainer.run.learning import RewardLog
from trainer.run.processors import IMAGE, VIDEO
from trainer.run.training_set import Prompts
from trainer.sampler import draw_order
from trainer.tiny.model import load as load_tiny

SIDE = 640
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Dense bfloat16 FLOP/s by a part of the device's name, from NVIDIA's data sheets."""

QUESTION = (
    "Each of the shapes in the picture has a colour and a place. Which of them is nearest to the "
    "one in the middle, and what colour does it have? "
) * 3

app = typer.Typer()


@app.command()
def main(
    steps: Annotated[int, typer.Option(min=3, help="Steps to run; the first is not timed.")] = 6,
    completion_tokens: Annotated[int, typer.Option(help="Tokens of each completion.")] = 256,
    lora: Annotated[bool, typer.Option(help="The recipe lora-24gb instead.")] = False,
    small: Annotated[bool, typer.Option(help="A small model, also without a GPU.")] = False,
) -> None:
    if not torch.cuda.is_available() and not small:
        print(
            "There is no GPU here (torch.cuda.is_available() is false), so there is nothing to "
            "measure. --small tries the script with a small model on the CPU.",
            file=sys.stderr,
        )
        raise typer.Exit(1)
    name = "lora-24gb" if lora else "single-gpu"
    recipe = recipes.load(name)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        shape = build(path, small=small)
        changed: dict[str, Any] = {
            "model": str(path),
            "steps": steps,
            "max_completion_tokens": completion_tokens,
            "vllm": {"mode": "off"},
            "data": None,
        }
        if small:
            changed |= {"max_pixels": 56 * 56}
        recipe = Recipe.parse(recipe.model_dump() | changed)
        found = measure(recipe, shape, Path(folder))
    if small:
        print(report({name: found}))
        return
    # The recipe that was not asked for keeps the figures of its last run.
    both = read_results("gpu") | {name: found}
    write_results("gpu", both)
    write_section("gpu", report(both))


def build(path: Path, *, small: bool) -> Shape:
    """Saves a model with random weights, the miniature's words and Qwen2-VL's image processor."""
    _, processor = load_tiny()
    tokenizer = processor.tokenizer
    config: Any = published(QWEN2_VL_2B)
    if small:
        text, eyes = config.text_config, config.vision_config
        text.hidden_size, text.intermediate_size, text.num_hidden_layers = 96, 256, 2
        text.layer_types = text.layer_types[:2]
        text.num_attention_heads, text.num_key_value_heads = 3, 1
        text.rope_parameters = text.rope_parameters | {"mrope_section": [4, 6, 6]}
        eyes.depth, eyes.embed_dim, eyes.num_heads, eyes.hidden_size = 2, 64, 2, 96
        text.vocab_size = 1024
    config.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE)
    config.video_token_id = tokenizer.convert_tokens_to_ids(VIDEO)
    config.vision_start_token_id = tokenizer.convert_tokens_to_ids("<|vision_start|>")
    config.vision_end_token_id = tokenizer.convert_tokens_to_ids("<|vision_end|>")
    torch.manual_seed(0)
    with torch.device(models.device()):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    Qwen2VLImageProcessorPil(
        size={"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 16384}
    ).save_pretrained(path)
    shape = from_config(config)
    del model
    torch.cuda.empty_cache()
    return shape


def measure(recipe: Recipe, shape: Shape, folder: Path) -> dict[str, Any]:
    """Trains the steps and reads the clocks."""
    on_gpu = torch.cuda.is_available()
    model, processor = models.load(recipe)
    noise = np.random.default_rng(0)
    rows = [
        Row(
            id=str(i),
            domain="noise",
            images=(Image.fromarray(noise.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)),),
            question=QUESTION,
            answer="A",
            answer_type="choice",
            choices=("red", "green", "blue", "yellow"),
        )
        for i in range(recipe.steps * recipe.prompts_per_step)
    ]
    sets = {"noise": ItemSet(rows)}
    order = draw_order({"noise": 1.0}, {"noise": len(rows)}, len(rows), seed=0)
    prompts = Prompts(sets, order, recipe.prompt, recipe.max_completion_tokens)
    trainer = MixtureTrainer(
        recipe=recipe,
        model=model,
        processor=processor,
        prompts=prompts,
        rewards=RewardLog(recipe.reward_weights),
        seed=0,
        output=folder / "out",
    )
    clock = Clock(trainer, skipped=0)
    trainer.add_callback(clock)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    trainer.train()
    found = clock.read()
    prompt_tokens = len(
        processor(
            text=processor.apply_chat_template(
                prompts.dataset()[0]["prompt"], tokenize=False, add_generation_prompt=True
            ),
            images=list(rows[0].images),
        )["input_ids"][0]
    )
    flop = step_flop(recipe, shape, prompt_tokens)
    name = torch.cuda.get_device_name() if on_gpu else f"CPU ({platform.machine()})"
    peak = next((value for part, value in PEAK.items() if part in name), None)
    return found | {
        "device": name,
        "steps": recipe.steps,
        "completions": recipe.completions_per_step,
        "wall_s": time.perf_counter() - started,
        "parameters": shape.parameters,
        "prompt_tokens": prompt_tokens,
        "completion_tokens": recipe.max_completion_tokens,
        "peak_bytes": torch.cuda.max_memory_allocated() if on_gpu else None,
        "estimated_bytes": memory.estimate(recipe, shape).total,
        "flop": flop,
        "mfu": None if peak is None else flop / found["step_s"] / peak,
        "versions": {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "trl": trl.__version__,
        },
    }


def step_flop(recipe: Recipe, shape: Shape, prompt_tokens: int) -> float:
    """Model FLOP of a step: 2 a parameter and token forward, 4 backward; attention left out.

    Language model: generation, the reference's and the policy's forward pass, and the backward pass
    (with adapters only the part that goes through activations). Vision tower: four patches a token,
    forward, once for each of these passes. What checkpointed gradients compute twice counts once.
    """
    completions = recipe.completions_per_step
    tokens = completions * (prompt_tokens + recipe.max_completion_tokens)
    backward = 2 if recipe.lora is not None else 4
    reference = 2 if recipe.beta > 0 else 0
    language = shape.language * tokens * (2 + reference + 2 + backward)
    pixels = recipe.max_pixels or SIDE * SIDE
    patches = completions * 4 * min(pixels, SIDE * SIDE) / shape.pixels_per_token
    passes = 3 if recipe.beta > 0 else 2
    return language + shape.vision * patches * 2 * passes


def report(found: dict[str, dict[str, Any]]) -> str:
    """A column for each recipe."""
    rows: dict[str, list[str]] = {}
    for x in found.values():
        used, versions = x["peak_bytes"], x["versions"]
        column = {
            "device": x["device"],
            "parameters, billions": f"{x['parameters'] / 1e9:.2f}",
            "completions a step": str(x["completions"]),
            "tokens of a prompt, a completion": f"{x['prompt_tokens']}, {x['completion_tokens']}",
            "seconds a step": f"{x['step_s']:.2f}",
            "of it generation": f"{x['generation_share']:.0%}",
            "generated tokens / s": f"{x['tokens_per_s']:,.0f}",
            "peak memory, GiB": "not a GPU" if used is None else f"{used / memory.GIB:.1f}",
            "`recipe check` expects, GiB": f"{x['estimated_bytes'] / memory.GIB:.1f}",
            "model FLOP use": "unknown" if x["mfu"] is None else f"{x['mfu']:.1%}",
            "2,000 steps, hours": f"{2000 * x['step_s'] / 3600:.1f}",
            "steps timed": str(x["steps"] - 1),
            "torch, transformers, trl": ", ".join(versions.values()),
        }
        for what, said in column.items():
            rows.setdefault(what, [what]).append(said)
    return "\n\n".join(
        [
            "Random weights of Qwen2-VL-2B's shape, pictures of noise, generation by transformers; "
            "medians of the steps after the first, scores not included.",
            table(["", *found], list(rows.values())),
        ]
    )


if __name__ == "__main__":
    app()
