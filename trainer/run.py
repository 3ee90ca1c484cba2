"""One trial's training run: recipe and mixture in, progress and measurements out.

`train_and_score` is the run itself. `trainer/child.py` gives it a process of its own.
"""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import torch
import transformers
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from rewards.training import REWARDS, RewardFunction
from service.schemas import Measurement
from trainer.data import ItemSet, benchmark_sets, training_rows
from trainer.evaluate import evaluate
from trainer.job import Job, Outcome, Progress
from trainer.prompts import StyleName, messages
from trainer.recipe import Recipe
from trainer.sampler import Order, draw_order
from trainer.tiny.model import load as load_tiny

# TRL and transformers still name it so to each other.
warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
datasets.disable_progress_bars()
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


Report = Callable[[Progress], None]


def train_and_score(job: Job, report: Report = lambda progress: None) -> Outcome:
    """Fine-tunes the base model on the mixture by GRPO and scores all benchmarks.

    Deterministic on one machine for a given job and number of threads.
    """
    started = time.monotonic()
    recipe = job.recipe
    torch.set_num_threads(recipe.threads)
    model, processor = load_tiny()
    domains = [name for name, weight in job.mixture.items() if weight > 0]
    rows = training_rows(recipe, job.data, domains)
    order = draw_order(
        job.mixture,
        {domain: len(items.rows) for domain, items in rows.items()},
        recipe.steps * recipe.prompts_per_step,
        job.seed,
    ).whole_steps(recipe.prompts_per_step)
    steps = order.steps(recipe.prompts_per_step)
    report(Progress("train", 0, steps))
    if steps:
        prompts = Prompts(rows, order, recipe.prompt, recipe.max_completion_tokens)
        model = _train(model, processor, prompts, job, report)
    measurements = score(
        model,
        processor,
        recipe,
        job.data,
        step=steps,
        progress=lambda name, done, total: report(
            Progress(f"evaluate {name}", steps, steps, {"evaluated": done / total})
        ),
    )
    return Outcome(
        measurements=measurements,
        steps=steps,
        exhausted=order.exhausted,
        counts=order.counts(),
        wall_s=time.monotonic() - started,
    )


def score_base(
    recipe: Recipe,
    progress: Callable[[str, int, int], None] = lambda name, done, total: None,
    data: Path = Path(),
) -> list[Measurement]:
    """Scores of the recipe's model before any training."""
    torch.set_num_threads(recipe.threads)
    model, processor = load_tiny()
    return score(model, processor, recipe, data, step=0, progress=progress)


def score(
    model: Any,
    processor: Any,
    recipe: Recipe,
    data: Path,
    *,
    step: int,
    progress: Callable[[str, int, int], None],
) -> list[Measurement]:
    """Scores on the recipe's benchmarks."""
    benchmarks = benchmark_sets(recipe, data)
    return evaluate(model, processor, benchmarks, recipe, step=step, progress=progress)


def _train(model: Any, processor: Any, prompts: Prompts, job: Job, report: Report) -> Any:
    recipe = job.recipe
    steps = prompts.order.steps(recipe.prompts_per_step)
    if recipe.freeze_vision:
        model.model.visual.requires_grad_(False)
    rewards = RewardLog(recipe.reward_weights)
    with TemporaryDirectory(prefix="modomodo-run-") as folder:
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=[rewards.watch(name) for name in recipe.reward_weights],
            args=_grpo_config(recipe, job.seed, Path(folder)),
            train_dataset=prompts.dataset(),
            processing_class=processor,
            callbacks=[_Reporter(rewards, steps, report)],
        )
        trainer.remove_callback(PrinterCallback)  # a run reports by its own progress messages
        trainer.train()
        return trainer.accelerator.unwrap_model(trainer.model)


def _grpo_config(recipe: Recipe, seed: int, folder: Path) -> GRPOConfig:
    completions = recipe.prompts_per_step * recipe.generations
    return GRPOConfig(
        output_dir=str(folder),
        max_steps=recipe.steps,  # the schedule's length, also where a domain runs out before
        per_device_train_batch_size=completions,
        gradient_accumulation_steps=1,
        num_generations=recipe.generations,
        max_completion_length=recipe.max_completion_tokens,
        temperature=recipe.temperature,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=round(recipe.warmup_share * recipe.steps),
        beta=recipe.beta,
        reward_weights=list(recipe.reward_weights.values()),
        shuffle_dataset=False,  # the order is the sampler's
        gradient_checkpointing=False,
        bf16=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=seed,
    )


@dataclass(frozen=True, slots=True)
class Prompts:
    """The rows of an order with the columns TRL and the reward functions read."""

    rows: Mapping[str, ItemSet]
    order: Order
    style: StyleName
    token_limit: int
    """Tokens that a completion may have."""

    def dataset(self) -> datasets.Dataset:
        """Decodes a row's images when the row is asked for: a domain may not fit into memory."""
        places = datasets.Dataset.from_dict({"place": list(range(len(self.order.picks)))})
        return places.with_transform(self._batch)

    def _batch(self, batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        # A group's completions ask for the same row as often as there are of them.
        made = {place: self._columns(place) for place in dict.fromkeys(batch["place"])}
        wanted = [made[place] for place in batch["place"]]
        return {name: [columns[name] for columns in wanted] for name in wanted[0]}

    def _columns(self, place: int) -> dict[str, Any]:
        domain, index = self.order.picks[place]
        items = self.rows[domain]
        row = items.rows[index]
        return {
            "prompt": messages(row, self.style),
            "images": list(row.images),
            "answer": row.answer,
            "answer_type": row.answer_type,
            "rule": items.rule,
            "extra": row.extra,
            "token_limit": self.token_limit,
            "domain": row.domain,
        }


class RewardLog:
    """Weighted reward of each domain since it was last read."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = dict(weights)
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, int] = defaultdict(int)

    def watch(self, name: str) -> RewardFunction:
        """The reward function of that name, its rewards noted on the way."""
        judge = REWARDS[name]
        counts_rows = name == next(iter(self._weights))

        @wraps(judge)
        def watched(completions: Any, *, domain: Any, **columns: Any) -> list[float | None]:
            rewards = judge(completions, **columns)
            for one, reward in zip(domain, rewards, strict=True):
                self._sums[one] += self._weights[name] * (reward or 0.0)
                self._counts[one] += counts_rows
            return rewards

        return watched

    def read(self) -> dict[str, float]:
        """`reward/<domain>`: mean total reward of its completions; empties the log."""
        means = {
            f"reward/{domain}": self._sums[domain] / count
            for domain, count in self._counts.items()
            if count
        }
        self._sums.clear()
        self._counts.clear()
        return means


class _Reporter(TrainerCallback):
    """Turns the trainer's log of each step into a progress report, and ends the run in time."""

    _KEPT = ("reward", "loss", "kl", "grad_norm", "completions/mean_length")

    def __init__(self, rewards: RewardLog, steps: int, report: Report) -> None:
        self._rewards, self._steps, self._report = rewards, steps, report

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if state.global_step >= self._steps:  # no unseen sample for another step
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
        logs = logs or {}
        if "train_runtime" in logs:  # the summary at the end
            return
        metrics = {name: float(logs[name]) for name in self._KEPT if name in logs}
        self._report(
            Progress("train", state.global_step, self._steps, metrics | self._rewards.read())
        )
