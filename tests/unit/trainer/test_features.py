"""Features of pictures that are computed once, and what learns from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from trainer.recipe import Recipe


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global benchmark_sets, models, torch
    import torch

    from trainer.data import benchmark_sets
    from trainer.run import models


def learnt(**recipe) -> tuple[float, dict[str, torch.Tensor], list[int]]:
    """Loss and gradients of one pass over two prompts, three completions each, and the sizes of the
    batches that the vision tower saw."""
    parsed = Recipe.parse(recipe)
    model, processor = models.load(parsed)
    rows = benchmark_sets(Recipe.parse({"evaluation": {"limit": 3}}), Path())["sat"].rows
    images = [[rows[0].images[0]]] * 3 + [[rows[1].images[0], rows[2].images[0]]] * 3
    picture = "<|vision_start|><|image_pad|><|vision_end|>"
    texts = [f"{picture * len(of_row)}Which is it? A circle." for of_row in images]
    inputs = processor(text=texts, images=images, padding=True, return_tensors="pt")
    saw: list[int] = []
    tower = model.model.visual
    see = tower.forward
    tower.forward = lambda patches, grid_thw, **options: (
        saw.append(len(grid_thw)) or see(patches, grid_thw, **options)
    )
    for _ in range(2):  # as a reference's pass and the policy's
        found = model(**inputs, labels=inputs["input_ids"])
    found.loss.backward()
    gradients = {
        name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None
    }
    return float(found.loss.detach()), gradients, saw


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_losses_and_gradients_are_those_of_a_tower_that_sees_every_copy(dtype):
    loss, gradients, saw = learnt(dtype=dtype)
    plain_loss, plain, plain_saw = learnt(dtype=dtype, speed={"features": False})
    assert saw == [1, 1, 1], "each picture once, alone"
    assert plain_saw == [9, 9]
    rounding = 1e-6 if dtype == "float32" else 2e-2
    assert loss == pytest.approx(plain_loss, rel=rounding)
    assert gradients.keys() == plain.keys()
    for name, gradient in plain.items():
        difference = (gradients[name] - gradient).float().norm()
        assert difference <= 10 * rounding * gradient.float().norm() + 1e-7, name


@pytest.mark.parametrize(
    "recipe",
    [
        {"freeze_vision": False},
        {"speed": {"features": False}},
        {"speed": {"pictures_once": False}},
    ],
)
def test_a_tower_that_trains_sees_pictures_each_time(recipe):
    assert not models.keeps_features(Recipe.parse(recipe))
    _, processor = models.load(Recipe.parse(recipe))
    read = processor(
        text=["<|image_pad|>"], images=[Image.new("RGB", (64, 64))], return_tensors="pt"
    )
    assert read["pixel_values"].is_floating_point()


def test_a_sharded_tower_computes_in_all_processes_at_once(monkeypatch):
    assert models.keeps_features(Recipe())
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    assert not models.keeps_features(Recipe())


def test_a_processor_that_keeps_pictures_makes_of_them_what_one_without_makes():
    plain, once = (
        models.load(Recipe.parse({"speed": {"pictures_once": on, "features": False}}))[1]
        for on in (False, True)
    )
    torch.manual_seed(0)
    noise = torch.randint(0, 256, (2, 80, 64, 3), dtype=torch.uint8).numpy()
    images = [[Image.fromarray(noise[0])], [Image.fromarray(noise[1]), Image.fromarray(noise[0])]]
    texts = ["<|image_pad|>?", "<|image_pad|><|image_pad|>!"]
    for _ in range(2):
        ours, theirs = (
            processor(text=texts, images=images, padding=True, return_tensors="pt")
            for processor in (once, plain)
        )
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], value) for name, value in theirs.items())


def test_a_processor_that_keeps_pictures_is_saved_without_them(tmp_path):
    _, processor = models.load(Recipe())
    processor(text=["<|image_pad|>"], images=[Image.new("RGB", (64, 64))], return_tensors="pt")
    processor.save_pretrained(tmp_path)
    assert "pictures" not in (tmp_path / "processor_config.json").read_text()
