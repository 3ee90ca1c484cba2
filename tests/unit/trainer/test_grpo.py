"""What a recipe becomes in TRL's words."""

from __future__ import annotations

import pytest

from trainer import grpo, recipes
from trainer.recipe import Recipe, RecipeError


@pytest.fixture
def has_vllm(monkeypatch):
    """As if it were installed: nothing here imports it."""
    monkeypatch.setattr(grpo, "find_spec", lambda name: object())


def config(tmp_path, **vllm):
    return grpo.grpo_config(Recipe.parse({"vllm": vllm}), 0, tmp_path, processes=1)


def test_a_vllm_server_is_asked_at_its_address(has_vllm, tmp_path):
    made = config(tmp_path, mode="server", host="node-7", port=8123)
    assert (made.use_vllm, made.vllm_mode) == (True, "server")
    assert (made.vllm_server_host, made.vllm_server_port) == ("node-7", 8123)


def test_vllm_beside_the_training_takes_its_share_of_the_gpus(has_vllm, tmp_path):
    made = config(tmp_path, mode="colocate", gpu_memory_utilization=0.4, tensor_parallel_size=2)
    assert (made.use_vllm, made.vllm_mode) == (True, "colocate")
    assert (made.vllm_gpu_memory_utilization, made.vllm_tensor_parallel_size) == (0.4, 2)


@pytest.mark.parametrize("mode", ["off", "auto"])
def test_without_a_gpu_generation_is_by_transformers(has_vllm, tmp_path, mode):
    assert not config(tmp_path, mode=mode).use_vllm


@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_a_recipe_that_needs_vllm_says_so_where_it_is_missing(monkeypatch, tmp_path, mode):
    monkeypatch.setattr(grpo, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"needs vllm, which is not installed; pip install"):
        config(tmp_path, mode=mode)


def test_the_papers_numbers_reach_trl(has_vllm, tmp_path):
    made = grpo.grpo_config(recipes.load("paper"), 42, tmp_path, processes=1)
    assert (made.beta, made.num_generations, made.max_steps) == (0.04, 6, 2000)
    assert (made.learning_rate, made.warmup_steps) == (1e-6, 200)
    assert made.per_device_train_batch_size == 12
    assert (made.adam_beta1, made.adam_beta2, made.adam_epsilon) == (0.9, 0.999, 1e-8)
