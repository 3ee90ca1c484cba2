"""TRL's settings for a recipe: every one that it has, so that none of its defaults decides a run.

`tests/unit/trainer/test_trl_config.py` compares them with the fields of the installed TRL.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from trl.trainer.grpo_config import GRPOConfig

from trainer.planning import memory
from trainer.planning.shapes import shape_of
from trainer.recipe import Recipe, RecipeError
from trainer.run.decoding import uses_autocast
from trainer.run.processors import IMAGE

FIXED: dict[str, Any] = {
    # A step's completions are used for that step alone, all at once, so they are the policy's own
    # and the ratio of policies is 1: what clips it does nothing. Using them again would make
    # completions a part of what a checkpoint has to hold.
    "num_iterations": 1,
    "generation_batch_size": None,  # `steps_per_generation` says it
    "epsilon": 0.2,
    "epsilon_high": 0.2,
    "delta": None,
    "off_policy_mask_threshold": None,
    # Completions are drawn from the distribution that is trained (`trainer/run/draws.py`), whole.
    "top_p": 1.0,
    "top_k": 0,
    "min_p": None,
    "repetition_penalty": 1.0,
    "chat_template_kwargs": None,
    "vllm_structured_outputs_regex": None,
    "pad_to_multiple_of": None,
    # The reference is the base model; another one would be a part of what a checkpoint has to hold.
    "sync_ref_model": False,
    "ref_model_mixup_alpha": 0.6,
    "ref_model_sync_steps": 512,
    # GRPO's: rewards are added up before they are compared within their group.
    "multi_objective_aggregation": "sum_then_normalize",
    # A coefficient that changes with the run's past would be a part of its state, too.
    "use_adaptive_entropy": False,
    "entropy_coef_min": 0.0,
    "entropy_coef_max": 1.0,
    "entropy_coef_delta": 0.005,
    "entropy_target": 0.2,
    # Of losses that no recipe names.
    "sapo_temperature_neg": 1.05,
    "sapo_temperature_pos": 1.0,
    "vespo_k_pos": 2.0,
    "vespo_lambda_pos": 3.0,
    "vespo_k_neg": 3.0,
    "vespo_lambda_neg": 2.0,
    # The model comes loaded, its code is transformers', and it is no mixture of experts.
    "model_init_kwargs": None,
    "trust_remote_code": False,
    "router_aux_loss_coef": 0.0,
    "cast_lm_head_to_fp32": False,  # it shares its weights with the embedding
    "disable_dropout": False,  # `lora.dropout` is the only one
    # How it is computed.
    "optim": "adamw_torch_fused",
    "lr_scheduler_kwargs": None,
    "label_smoothing_factor": 0.0,
    "neftune_noise_alpha": None,
    "average_tokens_across_devices": True,
    "use_liger_kernel": False,
    "cache_implementation": None,
    "use_transformers_continuous_batching": False,  # TRL refuses it for models that see
    "transformers_continuous_batching_config": None,
    "ds3_gather_for_generation": True,
    "vllm_model_impl": "vllm",
    "vllm_enable_sleep_mode": False,
    "vllm_max_model_length": None,
    "vllm_server_base_url": None,  # host and port say it
    "vllm_server_timeout": 240.0,
    "vllm_group_port": 51216,
    "vllm_importance_sampling_clip_min": None,
    # What TRL would do besides: it evaluates nothing here, calls no tools and writes no logs.
    "num_generations_eval": None,
    "max_tool_calling_iterations": None,
    "log_completions": False,
    "log_multimodal": False,
    "num_completions_to_print": None,
    "log_unique_prompts": False,
    "log_completions_hub_repo": None,
    "remove_unused_columns": False,  # rewards read them
}
"""Settings that a recipe does not choose."""

DEPRECATED = frozenset({"use_transformers_paged", "vllm_importance_sampling_cap"})
"""Old names of settings that are given by their new ones."""


def grpo_config(recipe: Recipe, seed: int, output: Path, processes: int) -> GRPOConfig:
    """TRL's settings for a recipe.

    Raises:
        RecipeError: the processes cannot share a step's completions evenly.
    """
    shares = processes * recipe.gradient_accumulation
    if recipe.completions_per_step % shares:
        raise RecipeError(
            f"recipe: {recipe.completions_per_step} completions a step cannot be shared by "
            f"{processes} processes in {recipe.gradient_accumulation} pieces each; "
            f"{recipe.completions_per_step} must be a multiple of {shares}"
        )
    return GRPOConfig(**settings(recipe, seed, output, processes))


def settings(recipe: Recipe, seed: int, output: Path, processes: int) -> dict[str, Any]:
    """What TRL is told, for a step that so many processes share.

    Raises:
        RecipeError: vLLM is not installed.
    """
    on_gpu = torch.cuda.is_available()
    return FIXED | dict(
        output_dir=str(output),
        max_steps=recipe.steps,  # the schedule's length, also where a domain runs out before
        per_device_train_batch_size=recipe.completions_per_step
        // (processes * recipe.gradient_accumulation),
        gradient_accumulation_steps=recipe.gradient_accumulation,
        steps_per_generation=recipe.gradient_accumulation,
        num_generations=recipe.generations,
        max_completion_length=recipe.max_completion_tokens,
        temperature=recipe.temperature,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=round(recipe.warmup_share * recipe.steps),
        adam_beta1=recipe.adamw.beta1,
        adam_beta2=recipe.adamw.beta2,
        adam_epsilon=recipe.adamw.epsilon,
        weight_decay=recipe.adamw.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        beta=recipe.beta,
        use_bias_correction_kl=recipe.kl_correction,
        loss_type=recipe.loss,
        importance_sampling_level=recipe.importance_level,
        mask_truncated_completions=recipe.mask_truncated,
        top_entropy_quantile=recipe.entropy_quantile,
        entropy_coef=recipe.entropy_bonus,
        scale_rewards=recipe.scale_rewards,
        reward_weights=list(recipe.reward_weights.values()),
        shuffle_dataset=False,  # the order is the sampler's
        gradient_checkpointing=checkpoints_gradients(recipe, processes),
        bf16=uses_autocast(recipe, on_gpu=on_gpu),
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        # A vision tower that trains has no gradient in a step of texts alone.
        ddp_find_unused_parameters=not recipe.freeze_vision,
        logging_steps=1,
        save_strategy="no",  # checkpoints are asked for by `CheckpointSteps`
        report_to="none",
        disable_tqdm=True,
        seed=seed,
        **_vllm(recipe),
    )


def checkpoints_gradients(recipe: Recipe, processes: int) -> bool:
    """Whether a run of so many processes computes activations twice: always, or for want of memory.

    What vLLM takes of a GPU is not there for training.
    """
    if recipe.gradient_checkpointing != "auto" or not torch.cuda.is_available():
        return recipe.gradient_checkpointing is True
    room = float(torch.cuda.get_device_properties().total_memory)
    if uses_vllm(recipe) and recipe.vllm.mode != "server":
        room *= 1 - recipe.vllm.gpu_memory_utilization
    # An evaluation that is too large for it would be so either way.
    return memory.estimate(recipe, shape_of(recipe.model), processes).training > room


def uses_vllm(recipe: Recipe) -> bool:
    """Whether vLLM generates the completions of a run of this recipe here.

    Raises:
        RecipeError: it is to, and is not installed.
    """
    mode, installed = recipe.vllm.mode, find_spec("vllm") is not None
    if mode in ("colocate", "server") and not installed:
        raise RecipeError(
            f"recipe: vllm.mode: {mode!r} needs vllm, which is not installed; "
            "pip install 'modomodo[vllm]', or mode 'auto' or 'off'"
        )
    return mode != "off" and installed and (mode != "auto" or torch.cuda.is_available())


def _vllm(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.vllm
    correction, is_used = chosen.correction, uses_vllm(recipe)
    return {
        "use_vllm": is_used,
        # A completion with a picture's token would have none of its features. TRL 1.16 sees to it
        # where transformers draws.
        "generation_kwargs": {"bad_words": [IMAGE]} if is_used else None,
        "vllm_mode": "server" if chosen.mode == "server" else "colocate",
        "vllm_server_host": chosen.host,
        "vllm_server_port": chosen.port,
        "vllm_gpu_memory_utilization": chosen.gpu_memory_utilization,
        "vllm_tensor_parallel_size": chosen.tensor_parallel_size,
        "vllm_importance_sampling_correction": correction != "none",
        "vllm_importance_sampling_mode": "token_truncate" if correction == "none" else correction,
        "vllm_importance_sampling_clip_max": chosen.correction_max,
    }
