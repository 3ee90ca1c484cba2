"""Adapters whose weights are handed to vLLM, which nothing here imports: only what receives them is
a stand-in, TRL's merging is its own."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

import pytest

from trainer.recipe import Recipe
from trainer.sampler import draw_order


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global DistributedBackend, Prompts, RewardLog, VLLMGeneration, grpo, grpo_trainer, models
    global peft_config, restore_base_after_handing_over, save_qwen2_vl, torch, training_rows
    global peft, trl_config
    peft = pytest.importorskip("peft")
    import torch
    from trl.distributed import DistributedBackend
    from trl.generation.vllm_generation import VLLMGeneration
    from trl.trainer import grpo_trainer

    from tests.support.vlm import save_qwen2_vl
    from trainer.data import training_rows
    from trainer.run import grpo, models, trl_config
    from trainer.run.adapters import peft_config, restore_base_after_handing_over
    from trainer.run.learning_curve import RewardLog
    from trainer.run.training_set import Prompts


STEPS = 8


class Receiver:
    """vLLM's engine, as far as weights are handed to it."""

    def __init__(self) -> None:
        self.weights: dict[str, torch.Tensor] = {}
        runner = SimpleNamespace(model=self)
        worker = SimpleNamespace(model_runner=runner)
        self.llm_engine = SimpleNamespace(
            model_executor=SimpleNamespace(driver_worker=worker),
        )

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        self.weights |= {name: weight.clone() for name, weight in weights}

    def reset_prefix_cache(self) -> None:
        """Nothing is cached here."""


@pytest.fixture
def adapted(tmp_path):
    """A bfloat16 model with adapters that say something."""
    recipe = Recipe.parse(
        {
            "model": str(save_qwen2_vl(tmp_path)),
            "dtype": "bfloat16",
            "lora": {"rank": 4, "alpha": 8},
        }
    )
    torch.manual_seed(0)
    model, _ = models.load(recipe)
    model = peft.get_peft_model(model, peft_config(recipe.lora))
    train(model)
    return model


def train(model) -> None:
    """As a step would: another delta each time."""
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data += 0.01 * torch.randn_like(weight)


def generation_of(model) -> VLLMGeneration:
    """TRL's, but for what it starts."""
    made = object.__new__(VLLMGeneration)
    made.model, made.llm, made.mode, made.enable_sleep_mode = model, Receiver(), "colocate", False
    state = SimpleNamespace(deepspeed_plugin=None)
    made.accelerator = SimpleNamespace(state=state)
    made._dist = DistributedBackend(made.accelerator)
    return made


def base_of(model) -> dict[str, torch.Tensor]:
    return {
        name: weight.detach().clone()
        for name, weight in model.named_parameters()
        if "lora_" not in name
    }


def moved(before, after) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_handing_weights_over_at_every_step_leaves_the_base_bit_by_bit(adapted):
    generation, before = generation_of(adapted), base_of(adapted)
    restore_base_after_handing_over(generation, adapted)
    for _ in range(STEPS):
        generation.sync_weights()
        train(adapted)
    assert not moved(before, base_of(adapted))
    assert any("q_proj" in name for name in before)


def test_without_it_the_base_drifts(adapted):
    generation, before = generation_of(adapted), base_of(adapted)
    for _ in range(STEPS):
        generation.sync_weights()
        train(adapted)
    drifted = moved(before, base_of(adapted))
    assert drifted
    assert all("base_layer" in name for name in drifted)


def test_what_is_handed_over_has_the_adapters_in_it(adapted):
    guarded, plain = generation_of(adapted), generation_of(adapted)
    restore_base_after_handing_over(guarded, adapted)
    guarded.sync_weights()
    plain.sync_weights()
    ours, theirs = guarded.llm.weights, plain.llm.weights
    assert ours.keys() == theirs.keys()
    assert not moved(theirs, ours)
    name = next(name for name in ours if name.endswith("layers.0.self_attn.q_proj.weight"))
    base = next(
        weight
        for key, weight in base_of(adapted).items()
        if key.endswith("layers.0.self_attn.q_proj.base_layer.weight")
    )
    assert not torch.equal(ours[name], base)


class Generation:
    """TRL's, which would start vLLM."""

    def __init__(self, model, **options) -> None:
        self.model = model

    def sync_weights(self) -> None:
        self.model.merge_adapter()
        self.model.unmerge_adapter()


def test_a_run_with_adapters_and_vllm_keeps_its_base(tmp_path, monkeypatch):
    monkeypatch.setattr(grpo_trainer, "VLLMGeneration", Generation)
    monkeypatch.setattr(trl_config, "find_spec", lambda name: object())
    recipe = Recipe.parse(
        {"lora": {"rank": 4, "alpha": 8}, "dtype": "bfloat16", "vllm": {"mode": "colocate"}}
    )
    model, processor = models.load(recipe)
    items = training_rows(recipe, tmp_path, ["sat"])
    prompts = Prompts(items, draw_order({"sat": 1.0}, {"sat": 8}, 8, 0), "tiny", 8)
    trainer = grpo.MixtureTrainer(
        recipe=recipe,
        model=model,
        processor=processor,
        prompts=prompts,
        rewards=RewardLog(recipe.reward_weights),
        seed=0,
        output=tmp_path,
    )
    train(trainer.model)
    before = base_of(trainer.model)
    for _ in range(STEPS):
        trainer.vllm_generation.sync_weights()
        train(trainer.model)
    assert not moved(before, base_of(trainer.model))
