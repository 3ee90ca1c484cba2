"""What a run costs beside plain TRL: time of a step, generation's share, tokens, evaluation.

`python -m bench.trainer [--steps 40] [--rounds 3]`

Both sides train the miniature on the same prompts in the same order with the same settings: ours
with its own draws, rewards noted by domain, learning curve and progress; TRL's with GRPOTrainer
alone and its own sampling. A process each, in turn, so that neither warms the other's caches.
Completions differ between the two samplings, so time is also given for each token of them.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import datasets
import torch
import typer
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.grpo_trainer import GRPOTrainer

from bench.gpu_stages import AS_TRL
from bench.processes import in_a_process
from bench.report import machine, table, write_results, write_section
from rewards.training import REWARDS
from trainer.data import benchmark_sets, training_rows
from trainer.recipe import Recipe
from trainer.run import models
from trainer.run.evaluate import evaluate
from trainer.run.grpo import MixtureTrainer
from trainer.run.learning_curve import Reporter, RewardLog
from trainer.run.training_set import Prompts
from trainer.run.trl_config import grpo_config
from trainer.sampler import draw_order
from trainer.storage.run_folder import RunFolder

MIXTURE = {"coco": 0.3, "sat": 0.5, "scienceqa": 0.2}
SKIPPED = 3
"""First steps are not timed: caches fill."""
GOAL = 0.03

app = typer.Typer()


@app.command()
def main(
    steps: Annotated[
        int,
        typer.Option(min=SKIPPED + 2, help=f"Steps of each run, {SKIPPED} not timed."),
    ] = 40,
    rounds: Annotated[int, typer.Option(help="Runs of each side.")] = 3,
    side: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    if side is not None:
        print(json.dumps(run(side, steps)))
        return
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in SIDES}
    for number in range(rounds):
        # Turned about, so that a machine that slows down slows both.
        for name in SIDES if number % 2 == 0 else reversed(SIDES):
            measured[name].append(
                in_a_process("bench.trainer", "--side", name, "--steps", str(steps))
            )
            print(name, measured[name][-1], file=sys.stderr)
    write_results("trainer", {"steps": steps, "runs": measured})
    text = report(measured, steps)
    write_section("trainer", text)
    print(text)


def run(side: str, steps: int) -> dict[str, Any]:
    """One run, timed step by step; then an evaluation, timed."""
    torch.set_num_threads(1)
    speed = {} if side == "modomodo" else AS_TRL["speed"]
    recipe = Recipe.parse({"steps": steps, "evaluation": {"limit": 60}, "speed": speed})
    rows = training_rows(recipe, Path(), list(MIXTURE))
    order = draw_order(
        MIXTURE,
        {name: len(items.rows) for name, items in rows.items()},
        steps * recipe.prompts_per_step,
        seed=1,
    )
    model, processor = models.load(recipe)
    prompts = Prompts.of_recipe(recipe, rows, order, processor, may_prefetch=side == "modomodo")
    with TemporaryDirectory() as folder:
        trainer = SIDES[side](model, processor, prompts, recipe, Path(folder))
        clock = Clock(trainer)
        trainer.add_callback(clock)
        trainer.train()
    prompts.close()
    found = clock.read()
    if side == "modomodo":
        started = time.perf_counter()
        sets = benchmark_sets(recipe, Path())
        evaluate(model, processor, sets, recipe, step=steps)
        found["evaluation_s"] = time.perf_counter() - started
        found["items"] = sum(len(items.rows) for items in sets.values())
    return found


def ours(model: Any, processor: Any, prompts: Any, recipe: Any, folder: Path) -> Any:
    """The trainer as `trainer.run.run` builds it, with its callbacks and a run's folder."""
    kept = RunFolder(folder)
    rewards = RewardLog(recipe.reward_weights)
    reporter = Reporter(
        rewards, prompts.order, recipe.prompts_per_step, lambda progress: None, kept
    )
    return MixtureTrainer(
        recipe=recipe,
        model=model,
        processor=processor,
        prompts=prompts,
        rewards=rewards,
        seed=1,
        output=folder,
        folder=kept,
        callbacks=[reporter],
    )


def plain(model: Any, processor: Any, prompts: Any, recipe: Any, folder: Path) -> Any:
    """TRL's trainer with the same settings on the same rows, decoded beforehand."""
    rows = [prompts.dataset()[i] for i in range(len(prompts.order))]
    names = ("prompt", "images", "answer", "answer_type")
    columns = {name: [row[name] for row in rows] for name in names}
    places = datasets.Dataset.from_dict({"place": list(range(len(rows)))})
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=[REWARDS[name] for name in recipe.reward_weights],
        args=grpo_config(recipe, 1, folder, 1),
        train_dataset=places.with_transform(
            lambda batch: {name: [columns[name][i] for i in batch["place"]] for name in names}
        ),
        processing_class=processor,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


SIDES = {"modomodo": ours, "trl": plain}


class Clock(TrainerCallback):
    """Times whole steps, the generation within them, and counts completions' tokens."""

    def __init__(self, trainer: Any, skipped: int = SKIPPED) -> None:
        self._skipped = skipped
        self._ends: list[float] = []
        self._cpu: list[float] = []
        self._generation: list[float] = [0.0]
        self._tokens: list[float] = [0.0]
        generate = trainer._generate_single_turn

        def timed(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            completions = generate(*arguments, **options)
            self._generation[-1] += time.perf_counter() - started
            self._tokens[-1] += sum(map(len, completions[0]))
            return completions

        trainer._generate_single_turn = timed

    def on_log(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        # The last thing of a step: reports and learning curve are within its time.
        if len(self._ends) < state.global_step:
            self._ends.append(time.perf_counter())
            self._cpu.append(time.process_time())
            self._generation.append(0.0)
            self._tokens.append(0.0)

    def read(self) -> dict[str, Any]:
        """Times in seconds, without the first steps."""
        steps = [after - before for before, after in pairwise(self._ends)][self._skipped :]
        timed = slice(self._skipped + 1, self._skipped + 1 + len(steps))
        generation, tokens = self._generation[timed], self._tokens[timed]
        cpu = [after - before for before, after in pairwise(self._cpu)][self._skipped :]
        return {
            "step_s": statistics.median(steps),
            "cpu_s": statistics.median(cpu),
            "cpu_s_per_token": sum(cpu) / sum(tokens),
            "generation_share": sum(generation) / sum(steps),
            "tokens_per_step": statistics.fmean(tokens),
            "tokens_per_s": sum(tokens) / sum(steps),
        }


def report(measured: dict[str, list[dict[str, Any]]], steps: int) -> str:
    def middle(side: str, key: str) -> float:
        return statistics.median(run[key] for run in measured[side])

    def least(side: str, key: str) -> float:
        return min(run[key] for run in measured[side])

    ratio = least("modomodo", "cpu_s") / least("trl", "cpu_s")
    wall_ratio = least("modomodo", "step_s") / least("trl", "step_s")
    token_ratio = least("modomodo", "cpu_s_per_token") / least("trl", "cpu_s_per_token")
    rows = [
        [
            "`modomodo`" if side == "modomodo" else "TRL's GRPOTrainer",
            f"{least(side, 'cpu_s') * 1000:,.0f}",
            f"{least(side, 'step_s') * 1000:,.0f}",
            f"{middle(side, 'generation_share'):.0%}",
            f"{middle(side, 'tokens_per_step'):,.0f}",
            f"{middle(side, 'tokens_per_s'):,.0f}",
        ]
        for side in SIDES
    ]
    ranges = ", ".join(
        f"{side} {min(r['cpu_s'] for r in runs) * 1000:,.0f} to "
        f"{max(r['cpu_s'] for r in runs) * 1000:,.0f} ms"
        for side, runs in measured.items()
    )
    spread = max(
        max(r["cpu_s"] for r in runs) / min(r["cpu_s"] for r in runs) - 1
        for runs in measured.values()
    )
    verdict = "met" if ratio <= 1 + GOAL else "MISSED"
    if spread > GOAL:
        verdict = f"NOT TOLD: runs of one side differ by up to {spread:.0%}, on a busy machine"
    one = measured["modomodo"][0]
    evaluation = middle("modomodo", "evaluation_s")
    return "\n\n".join(
        [
            f"The miniature, {steps} steps of 8 prompts x 8 completions, {len(measured['trl'])} "
            "runs a side, in turn, each in a process of its own. A step's times are the median of "
            "the least disturbed run: the machine was shared.",
            table(
                [
                    "trainer",
                    "CPU ms a step",
                    "ms a step",
                    "generation",
                    "tokens a step",
                    "tokens / s",
                ],
                rows,
            ),
            f"By CPU time a step takes {ratio:.3f} of TRL's "
            f"(the goal is at most {1 + GOAL:.2f}: {verdict}), {token_ratio:.3f} for each token "
            f"generated; by the clock {wall_ratio:.3f}. Range of the runs' medians: {ranges}.",
            f"Evaluation: {one['items']:,} items of seven benchmarks in {evaluation:.1f} s, "
            f"{one['items'] / evaluation:,.0f} items / s.",
            f"Made on {machine()}.",
        ]
    )


if __name__ == "__main__":
    app()
