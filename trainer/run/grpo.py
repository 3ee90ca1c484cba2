"""TRL's GRPOTrainer with what a trial needs: own draws, whole checkpoints, scores on the way."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import torch
from accelerate.utils import broadcast_object_list
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME
from trl.models.utils import unwrap_model_for_generation
from trl.trainer.grpo_trainer import GRPOTrainer

from trainer.adaptive import AdaptiveOrder, group_spreads
from trainer.job import Halted, IsStopping, Paused, never
from trainer.recipe import Recipe, RecipeError
from trainer.run.adapters import is_peft_model, peft_config, restore_base_after_handing_over
from trainer.run.decoding import WIDTHS, decoding_of
from trainer.run.draws import TokenDraws, drawing, uniforms
from trainer.run.features import keep_features
from trainer.run.generation import own_settings_aside
from trainer.run.learning_curve import RewardLog
from trainer.run.models import keeps_features
from trainer.run.optimizer import MasterAdamW
from trainer.run.training_set import Prompts
from trainer.run.trl_config import grpo_config
from trainer.run.vllm_engine import Engine, one_token_an_image, room_for
from trainer.storage.run_folder import PREFIX, RunFolder

# TRL and transformers still name it so to each other.
warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)

ScoreAt = Callable[[Any, int], None]
"""Scores the model at a step."""


class MixtureTrainer(GRPOTrainer):
    """One trial's training.

    Args:
        recipe: what the run is.
        prompts: what it trains on, in order.
        rewards: takes note of each reward.
        seed: of the run.
        output: for what TRL writes beside checkpoints.
        folder: where checkpoints go; None writes none.
        points: steps before the last one to score at.
        score_at: scores the model; told at each point, and at once for one that a resumed run
            stands at.
        is_stopping: asked after each step.
        is_pausing: whether to pause at the next point, or at the next checkpoint when none is left.
        stop_at: step to pause at; None pauses only when asked to.
        steps: that the run has; what it pauses at is before the last one. The schedule is that of
            the recipe's steps, wherever the run pauses.
        processes: that share the run.

    Raises:
        RecipeError: the recipe cannot be run here.
    """

    model: Any
    processing_class: Any
    optimizer: Any
    lr_scheduler: Any

    def __init__(
        self,
        *,
        recipe: Recipe,
        model: Any,
        processor: Any,
        prompts: Prompts,
        rewards: RewardLog,
        seed: int,
        output: Path,
        folder: RunFolder | None = None,
        points: Sequence[int] = (),
        score_at: ScoreAt = lambda model, step: None,
        is_stopping: IsStopping = never,
        is_pausing: IsStopping = never,
        stop_at: int | None = None,
        steps: int | None = None,
        processes: int = 1,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self._recipe, self._folder, self._points = recipe, folder, list(points)
        self._score_at, self._is_stopping, self._draw_seed = score_at, is_stopping, seed
        self._is_pausing, self._stop_at = is_pausing, stop_at
        self._order = prompts.order
        self._steps, self._scored = recipe.steps if steps is None else steps, 0
        self._streams: list[tuple[int, int, int]] = []
        self._decoding = decoding_of(recipe)
        with room_for(recipe.evaluation.batch_size if recipe.speed.evaluation_by_vllm else 0):
            super().__init__(
                model=model,
                processing_class=processor,
                reward_funcs=[rewards.watch(name) for name in recipe.reward_weights],
                args=grpo_config(recipe, seed, output, processes),
                train_dataset=prompts.dataset(),
                peft_config=peft_config(recipe.lora),
                callbacks=list(callbacks),
            )
        self.remove_callback(PrinterCallback)  # a run reports by its own progress messages
        self._choose_optimizer()
        if self.ref_model is not None and keeps_features(recipe):
            keep_features(self.ref_model, processor.pictures)
        if self.use_vllm and is_peft_model(self.model):
            restore_base_after_handing_over(self.vllm_generation, self.model)

    @property
    def engine(self) -> Engine | None:
        """What may answer an evaluation in the model's stead: vLLM, whole in this process."""
        is_here = self.use_vllm and self.vllm_mode == "colocate"
        if not is_here or self._recipe.vllm.tensor_parallel_size > 1:
            return None
        return Engine(self) if self._recipe.speed.evaluation_by_vllm else None

    def _choose_optimizer(self) -> None:
        """AdamW with float32 masters where the recipe needs them and nothing else keeps them.

        Raises:
            RecipeError: DeepSpeed or FSDP is to do what it cannot.
        """
        adamw, is_bfloat16 = self._recipe.adamw, self._recipe.dtype == "bfloat16"
        if self.is_deepspeed_enabled or self.is_fsdp_enabled:
            if adamw.offload:
                raise RecipeError(
                    "recipe: adamw.offload: DeepSpeed and FSDP offload by their own settings; "
                    "give it in the file of accelerate launch"
                )
            # Where they compute in bfloat16, both keep float32 weights of what is trained.
            if self.is_fsdp_enabled and is_bfloat16 and self.args.mixed_precision == "no":
                raise RecipeError(
                    "recipe: dtype: 'bfloat16' does not train under FSDP without a GPU; "
                    "'mixed' or 'float32' does"
                )
            return
        if adamw.offload or is_bfloat16:
            settings = {
                "lr": self.args.learning_rate,
                "betas": (adamw.beta1, adamw.beta2),
                "eps": adamw.epsilon,
                "offload": adamw.offload,
            }
            self.optimizer_cls_and_kwargs = (MasterAdamW, settings)

    # Completions: each drawn by numbers of its own (trainer/run/draws.py).

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Any:
        # A step's completions lie one after the other over the processes: G of each prompt.
        first = self.accelerator.process_index * len(inputs)
        self._streams = [
            (self._draw_seed, row["place"], (first + i) % self.num_generations)
            for i, row in enumerate(inputs)
        ]
        return super()._generate_and_score_completions(inputs)

    def _calculate_rewards(self, *arguments: Any, **options: Any) -> Any:
        # Of all processes, in the order of the step's prompts: each draws the same from them.
        rewards = super()._calculate_rewards(*arguments, **options)
        if isinstance(self._order, AdaptiveOrder):
            by_function, weights = (
                of.double().cpu().numpy() for of in (rewards, self.reward_weights)
            )
            self._order.learn(group_spreads(by_function, weights, self._recipe.generations))
        return rewards

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], *arguments: Any, **options: Any
    ) -> Any:
        if self.use_vllm:
            if self.vllm_mode == "colocate":
                token = self.processing_class.image_token_id
                prompt_ids = [one_token_an_image(ids, token) for ids in prompt_ids]
            return super()._generate_single_turn(prompt_ids, *arguments, **options)
        return self._decoding.run(lambda: self._draw(prompt_ids, *arguments, **options))

    def _draw(self, prompt_ids: list[list[int]], *arguments: Any, **options: Any) -> Any:
        tokens = self._recipe.max_completion_tokens
        model = self.accelerator.unwrap_model(self.model)
        draws = TokenDraws(uniforms(self._streams, tokens), self.temperature)
        width = self._decoding.width(max(map(len, prompt_ids)))
        how = self._decoding.options(model, len(prompt_ids), width + tokens)
        # TRL hard-codes that nothing is compiled, and pads prompts to this.
        self.generation_config.disable_compile = how.pop("disable_compile", True)
        self.generation_config.compile_config = how.pop("compile_config", None)
        self.pad_to_multiple_of = WIDTHS if self._decoding.compiled else None
        try:
            with drawing(model, draws, **how), own_settings_aside(model, self._tokenizer):
                return super()._generate_single_turn(prompt_ids, *arguments, **options)
        finally:
            self.pad_to_multiple_of = None

    # Checkpoints: what transformers writes, but whole or not at all.

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.args.output_dir if self._folder is None else self._folder.staging)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if self._folder is None:
            return
        if self.accelerator.is_main_process:
            self._folder.clear_staging()
        self.accelerator.wait_for_everyone()
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            if isinstance(self._order, AdaptiveOrder):
                self._folder.add_spreads(self.state.global_step, self._order.spreads)
            self._folder.publish(self.state.global_step)
        self.accelerator.wait_for_everyone()

    def create_model_card(self, *arguments: Any, **options: Any) -> None:
        """Checkpoints are for going on from: nobody reads their cards."""

    def _load_from_checkpoint(self, checkpoint: str, model: Any = None) -> None:
        # transformers 5.23 saves weights under the names that published files have and loads them
        # here by the model's own, not strictly: of a Qwen2-VL nothing at all would be loaded.
        if self.is_deepspeed_enabled or self.is_fsdp_enabled or is_peft_model(self.model):
            super()._load_from_checkpoint(checkpoint, model)
            return
        saved = type(self.model).from_pretrained(checkpoint, dtype=self.model.dtype)
        self.model.load_state_dict(saved.state_dict())

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        # Where several processes share a run transformers reads an optimizer's state onto the GPU,
        # which has no room for one that is kept in host memory.
        file = Path(checkpoint or "") / OPTIMIZER_NAME
        if checkpoint is None or not self._recipe.adamw.offload or not file.exists():
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        self.optimizer.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
        self.lr_scheduler.load_state_dict(
            torch.load(file.with_name(SCHEDULER_NAME), weights_only=True)
        )

    def train_from(self, checkpoint: Path | None, steps: int) -> None:
        """Trains on from a checkpoint, or from the start, until so many steps are done.

        A checkpoint of the last step only gives its weights back: they are read where any others
        are, after DeepSpeed or FSDP has the model.
        """
        if checkpoint is None:
            self.train()
            return
        if int(checkpoint.name.removeprefix(PREFIX)) >= steps:
            self.args.max_steps = steps  # of a run that ended early: there is no other epoch
        self.train(resume_from_checkpoint=str(checkpoint))

    # Scores on the way.

    def _maybe_log_save_evaluate(self, *arguments: Any, **options: Any) -> None:
        super()._maybe_log_save_evaluate(*arguments, **options)
        if self._all_say(self._is_stopping):
            self._halt(self.state.global_step)
        self.score_if_due()
        self.pause_if_due()

    def pause_if_due(self) -> None:
        """Ends the run where it is to pause.

        Raises:
            Paused: it is here; with a folder there is a checkpoint to go on from.
        """
        step = self.state.global_step
        if step == 0 or step >= self._steps:
            return
        if self._stop_at is not None and step >= self._stop_at:
            self._pause(step)
        if not self._all_say(self._is_pausing):
            return
        has_point_ahead = any(point > step for point in self._points)
        every = self._recipe.checkpoints.every or 1
        if self._scored == step or not (has_point_ahead or step % every):
            self._pause(step)

    def _pause(self, step: int) -> NoReturn:
        self._keep(step)
        raise Paused(step, [])

    def score_if_due(self) -> None:
        """Scores the model where its step is a point not yet scored; leaves no trace in the run."""
        step = self.state.global_step
        if step not in self._points:
            return
        self._points.remove(step)
        self.score(step)
        self._scored = step

    def score(self, step: int) -> None:
        """Scores the model as it is now.

        Raises:
            Halted: the scoring was; there is a checkpoint to go on from.
        """
        devices = [self.args.device] if self.args.device.type == "cuda" else []
        was_training = self.model.training
        try:
            with torch.random.fork_rng(devices=devices), self._whole() as model:
                self._score_at(model, step)
        except Halted:
            self._halt(step)
        self.model.train(was_training)

    def _all_say(self, ask: IsStopping) -> bool:
        """What the first process hears: the others may have heard of it a step apart."""
        order = [ask()]
        if self.accelerator.num_processes > 1 and ask is not never:
            broadcast_object_list(order)
        return order[0]

    def _halt(self, step: int) -> NoReturn:
        self._keep(step)
        raise Halted(step)

    def _keep(self, step: int) -> None:
        """Sees that there is a checkpoint of this step."""
        if self._folder is not None and step not in self._folder.checkpoints():
            self._save_checkpoint(self.model, trial=None)

    def _whole(self) -> Any:
        if not (self.is_deepspeed_enabled or self.is_fsdp_enabled):
            return nullcontext(self.accelerator.unwrap_model(self.model))
        return unwrap_model_for_generation(self.model_wrapped, self.accelerator)
