"""Runs of models that are loaded from a folder, as published ones are."""

from __future__ import annotations

import pytest
from PIL import Image

from trainer.job import Job
from trainer.recipe import Recipe, RecipeError


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global load_file, models, run, save_qwen2_5_vl, save_qwen2_vl, torch
    import torch
    from safetensors.torch import load_file

    from tests.support.vlm import save_qwen2_5_vl, save_qwen2_vl
    from trainer.run import models, run


SHORT = {
    "steps": 2,
    "prompts_per_step": 2,
    "generations": 4,
    "max_completion_tokens": 12,
    "learning_rate": 1e-3,
    "evaluation": {"temperature": 0, "limit": 2, "batch_size": 2},
    "checkpoints": {"every": 2, "keep": 1},
}
MIXTURE = {"coco": 0.5, "sat": 0.5}


@pytest.fixture(scope="module")
def qwen2_vl(tmp_path_factory):
    return save_qwen2_vl(tmp_path_factory.mktemp("qwen2-vl"))


def trained(tmp_path, **recipe):
    """The weights that a run's last checkpoint holds."""
    job = Job(MIXTURE, Recipe.parse(SHORT | recipe), seed=3, folder=tmp_path)
    outcome = run.train_and_score(job)
    assert {m.step for m in outcome.measurements} == {2}
    [checkpoint] = (tmp_path / "checkpoints").iterdir()
    assert checkpoint.name == "checkpoint-2"
    [weights] = checkpoint.glob("*model.safetensors")
    return weights.name, load_file(weights)


def changed(before, after):
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def test_a_qwen2_vl_from_a_folder_trains_in_bfloat16_with_its_vision_tower_untouched(
    qwen2_vl, tmp_path
):
    before = load_file(qwen2_vl / "model.safetensors")
    before = {name: value.bfloat16() for name, value in before.items()}
    _, after = trained(tmp_path, model=str(qwen2_vl), dtype="bfloat16", beta=0.04)
    assert all(value.dtype == torch.bfloat16 for value in after.values())
    moved = changed(before, after)
    assert any("layers" in name for name in moved)
    assert not any("visual" in name for name in moved)


@pytest.mark.slow
def test_the_vision_tower_trains_when_it_is_not_frozen(qwen2_vl, tmp_path):
    before = load_file(qwen2_vl / "model.safetensors")
    _, after = trained(tmp_path, model=str(qwen2_vl), freeze_vision=False)
    assert any("visual" in name for name in changed(before, after))


@pytest.mark.slow
def test_a_qwen2_5_vl_trains_alike(tmp_path):
    folder = save_qwen2_5_vl(tmp_path / "model")
    before = load_file(folder / "model.safetensors")
    # Blind, it earns nothing that differs: only the decay moves what is trained.
    _, after = trained(tmp_path / "run", model=str(folder), adamw={"weight_decay": 0.1})
    moved = changed(before, after)
    assert moved
    assert not any("visual" in name for name in moved)


def test_adapters_train_alone_and_a_finished_run_is_scored_again_from_them(qwen2_vl, tmp_path):
    pytest.importorskip("peft")
    lora = {"lora": {"rank": 4, "alpha": 8}, "model": str(qwen2_vl), "beta": 0.04}
    name, adapters = trained(tmp_path, **lora)
    assert name == "adapter_model.safetensors"
    assert all("language_model" in key and "lora" in key for key in adapters)
    assert any("lora_B" in key and value.abs().max() > 0 for key, value in adapters.items())
    job = Job(MIXTURE, Recipe.parse(SHORT | lora), seed=3, folder=tmp_path)
    kept = [m for m in run.train_and_score(job).measurements if m.rule == "paper"]
    for file in (tmp_path / "responses/step-2").iterdir():
        file.unlink()
    again = [m for m in run.train_and_score(job).measurements if m.rule == "paper"]
    assert again == kept


def test_a_step_cut_into_pieces_with_checkpointed_gradients_learns_the_same(qwen2_vl, tmp_path):
    model = {"model": str(qwen2_vl)}
    _, whole = trained(tmp_path / "whole", **model)
    _, pieces = trained(
        tmp_path / "pieces", **model, gradient_accumulation=2, gradient_checkpointing=True
    )
    assert all(
        torch.allclose(whole[name], pieces[name], atol=2e-5) for name in whole if "bias" not in name
    )


def test_prompts_are_padded_on_the_left(qwen2_vl):
    _, processor = models.load(Recipe(model=str(qwen2_vl)))
    batch = processor(text=["Which?", "Which colour is it?"], padding=True, return_tensors="pt")
    assert batch["attention_mask"][0, 0] == 0
    assert batch["attention_mask"][:, -1].tolist() == [1, 1]


def test_larger_images_are_scaled_down_to_the_cap(qwen2_vl):
    recipe = Recipe(model=str(qwen2_vl), max_pixels=32 * 32)
    _, processor = models.load(recipe)
    grid = processor.image_processor([Image.new("RGB", (200, 100))], return_tensors="pt")
    rows, columns = grid["image_grid_thw"][0, 1:].tolist()
    assert rows * 8 * columns * 8 <= 32 * 32


def test_a_model_of_another_architecture_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(RecipeError, match="is a gpt2, not one of qwen2_vl"):
        models.load(Recipe(model=str(tmp_path)))


def test_a_folder_without_a_model_is_named():
    with pytest.raises(RecipeError, match=r"cannot load '\./nowhere'"):
        models.load(Recipe(model="./nowhere"))
