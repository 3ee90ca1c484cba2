"""Back end `trl`: recipe and mixture in, progress and measurements out.

`train_and_score` is the run itself. `trainer/worker/child.py` gives it a process of its own,
`modomodo train` (alone or under `accelerate launch`) a command line.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import torch
import transformers
from accelerate import PartialState
from transformers import TrainerCallback

from service.schemas import Measurement
from trainer.adaptive import AdaptiveOrder, AnyOrder
from trainer.data import ItemSet, benchmark_sets, training_rows
from trainer.job import TRAIN, Halted, IsStopping, Job, Outcome, Paused, Progress, Report, never
from trainer.recipe import Recipe
from trainer.run import models
from trainer.run.answers import Share
from trainer.run.decoding import decoding_of
from trainer.run.evaluate import evaluate
from trainer.run.grpo import MixtureTrainer
from trainer.run.learning_curve import Reporter, RewardLog
from trainer.run.software import software
from trainer.run.training_set import Prompts
from trainer.run.trl_config import uses_vllm
from trainer.run.vllm_engine import Engine
from trainer.sampler import draw_phases
from trainer.storage.run_folder import RunFolder

datasets.disable_progress_bars()
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

# What was imported until here stays to the end: half a million objects. accelerate has the garbage
# collector look through all there are when a training begins, and a forked process copies each.
gc.freeze()


def train_and_score(
    job: Job,
    report: Report = lambda progress: None,
    is_stopping: IsStopping = never,
    is_pausing: IsStopping = never,
) -> Outcome:
    """Fine-tunes the recipe's model on the mixture by GRPO and scores all benchmarks.

    Deterministic on one machine for a given job and number of threads. With a folder it goes on
    from the last checkpoint there. Started on several processes by `accelerate launch`, all of them
    call it and get the same outcome.

    Args:
        is_stopping: asked after each step and, of one process, each batch of an evaluation.
        is_pausing: whether to pause at the next evaluation point; where none is left before the
            last step, at the next checkpoint.

    Raises:
        Halted: it was told to stop; with a folder there is a checkpoint of where it stood.
        Paused: it came to the job's step, or was told to; with a folder there is a checkpoint.
        RecipeError: the recipe cannot be run here.
        DataError: a dataset of the recipe's is not there.
        FolderTaken: the folder belongs to another run.
    """
    started = time.monotonic()
    recipe = job.recipe
    torch.set_num_threads(recipe.threads)
    state = PartialState(cpu=not torch.cuda.is_available())
    report = report if state.is_main_process else lambda progress: None
    folder = None if job.folder is None else RunFolder(job.folder, recipe.checkpoints.keep)
    if folder is not None and state.is_main_process:
        folder.claim(job, job.run_seed)
    state.wait_for_everyone()
    rows = training_rows(recipe, job.data, [name for name, w in job.mixture.items() if w > 0])
    sizes = {domain: len(items.rows) for domain, items in rows.items()}
    order = draw_phases(job.phases, sizes, job.run_seed).whole_steps(recipe.prompts_per_step)
    steps = order.steps(recipe.prompts_per_step)
    drawn: AnyOrder = order
    if recipe.adaptive is not None:
        drawn = AdaptiveOrder(
            job.mixture,
            sizes,
            steps=steps,
            prompts_per_step=recipe.prompts_per_step,
            seed=job.run_seed,
            by=recipe.adaptive,
        )
    report(Progress(TRAIN, 0, steps))
    scorer = Scorer(recipe, job.data, folder, report, steps, _share(state), is_stopping)
    model, processor = models.load(recipe)
    scorer.processor = processor
    if steps:
        prompts = Prompts.of_recipe(recipe, rows, drawn, processor)
        with closing(prompts):
            try:
                _train(model, prompts, job, folder, scorer, report, is_pausing)
            except Paused as paused:
                raise Paused(paused.step, scorer.measurements) from None
    else:
        scorer(model.to(models.device()), 0)
    return Outcome(
        measurements=scorer.measurements,
        steps=steps,
        exhausted=order.exhausted,
        counts=drawn.counts(len(drawn)),
        wall_s=time.monotonic() - started,
        mean_weights=drawn.mean_weights() if isinstance(drawn, AdaptiveOrder) else {},
        made_with={
            "recipe": recipe.model_dump(mode="json"),
            "software": software(recipe, uses_vllm=steps > 0 and uses_vllm(recipe)),
        },
    )


def score_base(
    recipe: Recipe,
    progress: Callable[[str, int, int], None] = lambda name, done, total: None,
    data: Path = Path(),
) -> list[Measurement]:
    """Scores of the recipe's model before any training."""
    torch.set_num_threads(recipe.threads)
    model, processor = models.load(recipe)
    benchmarks = benchmark_sets(recipe, data)
    model = model.to(models.device())
    return evaluate(
        model,
        processor,
        benchmarks,
        recipe,
        step=0,
        progress=progress,
        decoding=decoding_of(recipe),
    )


@dataclass(slots=True)
class Scorer:
    """Scores a model on the recipe's benchmarks whenever it is called, and keeps the scores."""

    recipe: Recipe
    data: Path
    folder: RunFolder | None
    report: Report
    steps: int
    share: Share
    is_stopping: IsStopping
    processor: Any = None
    engine: Engine | None = None
    measurements: list[Measurement] = field(default_factory=list)
    _benchmarks: dict[bool, dict[str, ItemSet]] = field(default_factory=dict)

    def __call__(self, model: Any, step: int) -> None:
        """Scores the model at a step; what is kept of it in the run's folder is not done again."""
        on_the_way = step < self.steps
        if on_the_way not in self._benchmarks:
            sets = benchmark_sets(self.recipe, self.data, on_the_way=on_the_way)
            self._benchmarks[on_the_way] = sets
        found = evaluate(
            model,
            self.processor,
            self._benchmarks[on_the_way],
            self.recipe,
            step=step,
            progress=lambda name, done, total: self._tell(step, name, done / total),
            folder=self.folder,
            share=self.share,
            decoding=decoding_of(self.recipe),
            engine=self.engine,
        )
        self.measurements += found
        if step < self.steps:
            self.report(Progress(TRAIN, step, self.steps, measurements=found))

    def _tell(self, step: int, benchmark: str, done: float) -> None:
        self.report(Progress(f"evaluate {benchmark}", step, self.steps, {"evaluated": done}))
        # Processes that evaluate together end together: after the next step.
        if self.share.count == 1 and self.is_stopping():
            raise Halted(step)


class CheckpointSteps(TrainerCallback):
    """Asks for a checkpoint every so many steps, at evaluation points, and at the last step."""

    def __init__(self, every: int, points: tuple[int, ...]) -> None:
        self._every, self._points = every, points

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if state.global_step % self._every == 0 or state.global_step in self._points:
            control.should_save = True


class ResumedPoint(TrainerCallback):
    """Scores a resumed run that stands at an evaluation point, before it goes on or pauses."""

    trainer: MixtureTrainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self.trainer.score_if_due()
        self.trainer.pause_if_due()


def _train(
    model: Any,
    prompts: Prompts,
    job: Job,
    folder: RunFolder | None,
    scorer: Scorer,
    report: Report,
    is_pausing: IsStopping,
) -> None:
    recipe = job.recipe
    regular = recipe.evaluation_points(scorer.steps)
    stop_at = job.stop_at if job.stop_at is not None and job.stop_at < scorer.steps else None
    points = regular if stop_at is None else tuple(sorted({*regular, stop_at}))
    rewards = RewardLog(recipe.reward_weights)
    resumed = ResumedPoint()
    callbacks = [
        Reporter(rewards, prompts.order, recipe.prompts_per_step, report, folder),
        resumed,
    ]
    if folder is not None and recipe.checkpoints.every is not None:
        callbacks.append(CheckpointSteps(recipe.checkpoints.every, points))
    elif folder is not None and job.keeps_weights:
        callbacks.append(CheckpointSteps(scorer.steps, points[-1:]))
    # 1. The trainer. What it writes beside checkpoints is of no use to anyone.
    with TemporaryDirectory(prefix="modomodo-run-") as elsewhere:
        trainer = MixtureTrainer(
            recipe=recipe,
            model=model,
            processor=scorer.processor,
            prompts=prompts,
            rewards=rewards,
            seed=job.run_seed,
            output=Path(elsewhere),
            folder=folder,
            points=points[:-1],
            score_at=scorer,
            is_stopping=scorer.is_stopping,
            is_pausing=is_pausing,
            stop_at=stop_at,
            steps=scorer.steps,
            processes=scorer.share.count,
            callbacks=callbacks,
        )
        resumed.trainer = trainer
        scorer.engine = trainer.engine
        # 2. Where a killed run left off.
        last = max(folder.checkpoints(), default=0) if folder is not None else 0
        if folder is not None and scorer.share.index == 0:
            folder.forget_after(last)
            if last:
                report(Progress(TRAIN, last, scorer.steps, past=folder.learning_curve()))
        trainer.accelerator.wait_for_everyone()
        for point in regular[:-1]:
            if point < last:  # its responses are kept, so no model is asked
                scorer(None, point)
        # 3. The steps that are left, and the scores of the last one.
        resume = None
        if folder is not None and last:
            resume = folder.checkpoint(last)
            if isinstance(prompts.order, AdaptiveOrder):
                prompts.order.recall(folder.spreads(last))
        trainer.train_from(resume, scorer.steps)
        trainer.score(scorer.steps)


def _share(state: PartialState) -> Share:
    return Share(state.process_index, state.num_processes)
