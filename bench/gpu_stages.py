"""What `bench.gpu` measures, a stage each in a process of its own, which ends with its memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from bench.gpu_model import build, end_by_chance, noise_rows, step_flop
from bench.gpu_parts import Parts, now
from bench.report import ROOT
from trainer import recipes
from trainer.data import ItemSet, training_rows
from trainer.planning import memory
from trainer.planning.shapes import Shape
from trainer.prompts import messages
from trainer.recipe import Recipe
from trainer.run import models
from trainer.run.answers import answers
from trainer.run.decoding import Decoding
from trainer.run.grpo import MixtureTrainer
from trainer.run.learning_curve import RewardLog
from trainer.run.training_set import Prompts
from trainer.sampler import draw_order
from trainer.storage.run_folder import RunFolder

AS_TRL = {
    "gradient_checkpointing": True,
    "gradient_accumulation": 1,
    "speed": {
        "pictures_once": False,
        "features": False,
        "prefetch": False,
        "plain_bfloat16": False,
        "compiled": False,
        "evaluation_stages": False,
        "evaluation_sorted": False,
    },
}
"""The recipe computed as TRL 1.16 does by itself, and as this package did before."""


MODEL = Path(os.environ.get("BENCH_MODEL", "bench-model"))
"""Where the model of all stages lies."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a stage runs with."""

    small: bool
    steps: int
    tokens: int
    """Of each completion."""
    items: int
    """Of an evaluation at its smaller batch."""
    rows: tuple[int, ...]
    """Batch sizes of decoding."""
    pixels: int | None = None
    """Of a picture at most; None for the recipe's."""
    lora: bool = False


def the_recipe(settings: Settings, model: Path, **changed: Any) -> Recipe:
    recipe = recipes.load("lora-24gb" if settings.lora else "single-gpu").model_dump()
    fixed = {
        "model": str(model),
        "steps": settings.steps,
        "max_completion_tokens": settings.tokens,
        "vllm": {"mode": "off"},
        "data": None,
    }
    if settings.pixels is not None:
        fixed["max_pixels"] = settings.pixels
    return Recipe.parse(recipe | fixed | changed)


def device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def steps(settings: Settings, changed: dict[str, Any]) -> dict[str, Any]:
    """Training steps, part by part, and what memory they take."""
    on_gpu = torch.cuda.is_available()
    shape = build(MODEL, small=settings.small)
    recipe = the_recipe(settings, MODEL, **changed)
    with TemporaryDirectory() as folder:
        model, processor = models.load(recipe)
        rows = noise_rows(recipe.steps * recipe.prompts_per_step)
        order = draw_order({"noise": 1.0}, {"noise": len(rows)}, len(rows), seed=0)
        prompts = Prompts.of_recipe(recipe, {"noise": ItemSet(rows)}, order, processor)
        trainer = MixtureTrainer(
            recipe=recipe,
            model=model,
            processor=processor,
            prompts=prompts,
            rewards=RewardLog(recipe.reward_weights),
            seed=0,
            output=Path(folder) / "out",
        )
        parts = Parts(trainer)
        trainer.add_callback(parts)
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        with parts.watching_pictures():
            trainer.train()
        prompts.close()
        text = processor.apply_chat_template(
            messages(rows[0], recipe.prompt), tokenize=False, add_generation_prompt=True
        )
        read = processor(text=text, images=list(rows[0].images))["input_ids"][0]
    checkpointing = bool(trainer.args.gradient_checkpointing)
    return _steps_found(recipe, shape, parts, len(read)) | {
        "estimated_bytes": memory.estimate(recipe, shape, checkpointing=checkpointing).training,
        "gradient_checkpointing": checkpointing,
        "compiled": trainer._decoding.compiled,
    }


def _steps_found(recipe: Recipe, shape: Shape, parts: Parts, prompt: int) -> dict[str, Any]:
    on_gpu = torch.cuda.is_available()
    means = parts.means(skipped=min(2, recipe.steps - 1))
    made = recipe.completions_per_step * recipe.max_completion_tokens
    return {
        "device": device_name(),
        "parts_s": means,
        "first_step_s": parts.steps[0]["step"],
        "step_s": means["step"],
        "steps": recipe.steps,
        "completions": recipe.completions_per_step,
        "tokens_per_s": made / (means["prefill"] + means["decode"]),
        "generation_share": (means["prefill"] + means["decode"]) / means["step"],
        "parameters": shape.parameters,
        "prompt_tokens": prompt,
        "completion_tokens": recipe.max_completion_tokens,
        "peak_bytes": torch.cuda.max_memory_allocated() if on_gpu else None,
        "flop": step_flop(recipe, shape, prompt),
    }


def moved(settings: Settings) -> dict[str, Any]:
    """Share of the miniature's trained weights that 12 steps at 1e-6 move, by dtype."""
    found: dict[str, Any] = {"device": device_name()}
    for name, dtype, masters in (
        ("bfloat16", "bfloat16", True),
        ("bfloat16, plain AdamW", "bfloat16", False),
        ("mixed", "mixed", True),
        ("float32", "float32", True),
    ):
        recipe = Recipe.parse(
            {"dtype": dtype, "steps": 12, "learning_rate": 1e-6, "schedule": "constant"}
            | {"prompts_per_step": 2, "generations": 4}
        )
        model, processor = models.load(recipe)
        sets = training_rows(recipe, Path(), ["sat"])
        sizes = {"sat": len(sets["sat"].rows)}
        with TemporaryDirectory() as folder:
            trainer = MixtureTrainer(
                recipe=recipe,
                model=model,
                processor=processor,
                prompts=Prompts(sets, draw_order({"sat": 1.0}, sizes, 24, 0), "tiny", 32),
                rewards=RewardLog(recipe.reward_weights),
                seed=0,
                output=Path(folder),
            )
            if not masters:
                trainer.optimizer_cls_and_kwargs = None
            before = {
                name: weight.detach().float().cpu().clone()
                for name, weight in trainer.model.named_parameters()
                if weight.requires_grad
            }
            trainer.train()
            state = trainer.optimizer.optimizer.state
            pairs = [
                (before[name], state[weight].get("master", weight).detach().float().cpu())
                for name, weight in trainer.model.named_parameters()
                if name in before and weight in state
            ]
        changed = sum(int((one != two).sum()) for one, two in pairs)
        found[name] = changed / sum(one.numel() for one, _ in pairs)
    return found


def decode(settings: Settings) -> dict[str, Any]:
    """Milliseconds a token at several batch sizes, plainly and compiled, and how far they agree."""
    found: dict[str, Any] = {"device": device_name(), "tokens": settings.tokens, "rows": {}}
    build(MODEL, small=settings.small)
    recipe = the_recipe(settings, MODEL)
    model, processor = models.load(recipe)
    model = model.to(models.device()).eval()
    rows = noise_rows(2)
    for n in settings.rows:
        inputs = processor(
            text=["<|vision_start|><|image_pad|><|vision_end|>" + row.question for row in rows]
            * (n // 2),
            images=[row.images[0] for row in rows] * (n // 2),
            padding=True,
            return_tensors="pt",
        ).to(model.device)
        said = {}
        for name, how in (("plain", Decoding()), ("compiled", Decoding(compiled=True))):
            said[name] = _decoded(model, inputs, how, settings.tokens)
        plain, compiled = said["plain"], said["compiled"]
        same = (plain.pop("said") == compiled.pop("said")).float().mean()
        found["rows"][str(n)] = {**said, "agreement": float(same)}
    return found


def _decoded(model: Any, inputs: Any, how: Decoding, tokens: int) -> dict[str, Any]:
    width = inputs["input_ids"].shape[1]

    def generate(new: int) -> tuple[float, torch.Tensor]:
        started = now()
        with torch.no_grad():
            out = model.generate(
                **inputs,
                do_sample=False,
                min_new_tokens=new,
                max_new_tokens=new,
                **how.options(model, len(inputs["input_ids"]), width + tokens),
            )
        return now() - started, out[:, width:]

    first_s, _ = generate(tokens)
    prefill_s, _ = generate(1)
    again_s, said = generate(tokens)
    return {
        "ms_a_token": 1000 * (again_s - prefill_s) / (tokens - 1),
        "prefill_s": prefill_s,
        "first_call_s": first_s,
        "compile_s": max(0.0, first_s - again_s),
        "said": said.cpu(),
    }


def evaluation(settings: Settings) -> dict[str, Any]:
    """Items a second at two batch sizes, as TRL does it and ours; answers end by chance."""
    found: dict[str, Any] = {"device": device_name(), "batches": {}}
    build(MODEL, small=settings.small)
    for size in settings.rows[-2:]:
        for name, speed in (("as TRL does it", AS_TRL["speed"]), ("ours", {})):
            n = settings.items * size // settings.rows[-2]
            found["batches"].setdefault(str(size), {})[name] = answered(settings, size, n, speed)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    return found


def answered(settings: Settings, size: int, n: int, speed: dict[str, Any]) -> dict[str, Any]:
    """Items a second of so many items in batches of one size."""
    how = {"batch_size": size, "temperature": 1.0, "max_tokens": settings.tokens * 4}
    recipe = the_recipe(settings, MODEL, evaluation=how, speed=speed)
    model, processor = models.load(recipe)
    model = model.to(models.device())
    end_by_chance(model)
    decoding = Decoding(recipe.speed.compiled is True or _compiles(recipe), may_fall_back=True)
    rows = noise_rows(n + size)
    if decoding.compiled:  # that is a run's once, not each evaluation's
        answers(model, processor, rows[n:], recipe, "noise", decoding=decoding)
    started, cpu = now(), time.process_time()
    said = answers(model, processor, rows[:n], recipe, "noise", decoding=decoding)
    taken = now() - started
    lengths = [len(one) for one in processor.tokenizer(said)["input_ids"]]
    return {
        "items": n,
        "items_per_s": n / taken,
        "cpu_s_an_item": (time.process_time() - cpu) / n,
        "tokens_an_answer": float(np.mean(lengths)),
    }


def _compiles(recipe: Recipe) -> bool:
    return recipe.speed.compiled == "auto" and torch.cuda.is_available()


def kill(settings: Settings) -> dict[str, Any]:
    """Kills a run in the middle of a step, and sees how long its memory is gone for."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench.gpu", "--stage", "train"]
        options = ["--steps", "100", "--completion-tokens", str(settings.tokens)]
        small = ["--small"] if settings.small else []
        free = _free()
        child = subprocess.Popen(
            [*command, *options, *small],
            cwd=ROOT,
            env=os.environ | {"BENCH_FOLDER": folder},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        metrics = RunFolder(Path(folder)).metrics
        deadline = time.monotonic() + 240
        while not metrics.exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(1.0)  # into the next step
        during = _free()
        alive = child.poll() is None
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        started = time.monotonic()
        while (after := _free()) < free - 2**28 and time.monotonic() - started < 60:
            time.sleep(0.05)
    return {
        "device": device_name(),
        "was_training": alive,
        "taken_bytes": free - during,
        "left_bytes": free - after,
        "freed_after_s": time.monotonic() - started,
    }


def train(settings: Settings) -> dict[str, Any]:
    """Steps that tell in `BENCH_FOLDER` when the first one is done; to be killed."""
    metrics = RunFolder(Path(os.environ["BENCH_FOLDER"])).metrics
    told: list[bool] = []
    own = Parts.on_log

    def on_log(self: Parts, *arguments: Any, **rest: Any) -> None:
        own(self, *arguments, **rest)
        if os.getppid() == 1:
            raise SystemExit("nobody is left to kill this run")
        if not told:
            told.append(True)
            metrics.write_text("")

    Parts.on_log = on_log  # type: ignore[method-assign]
    return steps(settings, {"speed": {"compiled": False}})


def _free() -> int:
    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else 0


STAGES: dict[str, Callable[[Settings], dict[str, Any]]] = {
    "as TRL does it": lambda settings: steps(settings, AS_TRL),
    "ours": lambda settings: steps(settings, {}),
    "evaluation": evaluation,
    "decode": decode,
    "moved": moved,
    "kill": kill,
    "ours, not compiled": lambda settings: steps(settings, {"speed": {"compiled": False}}),
}
"""In the order of their worth, should time run out."""
