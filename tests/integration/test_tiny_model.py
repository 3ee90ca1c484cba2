"""The miniature model: built the same twice, read fast as it is read slowly, and not ignorant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.recipe import Recipe
from trainer.tiny import world
from trainer.tiny.lessons import lesson


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global BASE, batch_loss, benchmark_sets, building, cross_entropy, evaluate, load, make_batch
    global new_model, new_processor, new_tokenizer, torch, warm_up
    import torch
    from torch.nn.functional import cross_entropy

    from trainer.data import benchmark_sets
    from trainer.run.evaluate import evaluate
    from trainer.tiny import build as building
    from trainer.tiny.build import new_tokenizer
    from trainer.tiny.model import BASE, load, new_model, new_processor
    from trainer.tiny.warmup import batch_loss, make_batch, warm_up


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Several threads spin for each other where cores are shared: a hundred times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tokenizer():
    return new_tokenizer()


@pytest.fixture(scope="module")
def lessons():
    return [lesson("integration", index) for index in range(24)]


def test_two_builds_are_the_same_bit_by_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "_TEXTS", 500)
    for name in ("one", "two"):
        building.build(tmp_path / name, steps=2)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert "model.safetensors" in files
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_the_warm_up_learns(tokenizer):
    model, losses = new_model(tokenizer, 0), []
    warm_up(
        model,
        tokenizer,
        steps=300,
        stop_after=14,
        batch_size=10,
        progress=lambda step, steps, loss: losses.append(loss),
    )
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_warm_up_pictures_are_what_the_processor_makes_of_them(tokenizer, lessons):
    pictures = [Image.fromarray(one.picture) for one in lessons]
    made = new_processor(tokenizer).image_processor(pictures, return_tensors="pt")
    torch.testing.assert_close(make_batch(lessons, tokenizer).pixels, made["pixel_values"])


def test_the_fast_loss_is_the_models_own(tokenizer, lessons):
    model, batch = new_model(tokenizer, 0), make_batch(lessons, tokenizer)
    wanted = batch.labels != -100
    with torch.no_grad():
        logits = model(
            input_ids=batch.ids,
            attention_mask=(batch.ids != tokenizer.pad_token_id).long(),
            pixel_values=batch.pixels,
            image_grid_thw=torch.tensor([[1, 8, 8]] * len(batch.ids)),
            mm_token_type_ids=(batch.ids == model.config.image_token_id).int(),
        ).logits
        slow = cross_entropy(logits[wanted], batch.labels[wanted])
        torch.testing.assert_close(batch_loss(model, batch), slow)


def test_any_text_survives_the_tokenizer(tokenizer):
    for text in ("<think>start red</think><answer>red</answer>", "Zoë’s 12,345 ½ cups\n\t☕"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_responses_are_short(tokenizer):
    lengths = [
        len(tokenizer(lesson("integration", index).response)["input_ids"]) for index in range(300)
    ]
    assert max(lengths) <= 28
    assert np.median(lengths) <= 12


def test_the_shipped_tokenizer_is_the_one_built(tokenizer):
    _, processor = load()
    assert processor.tokenizer.get_vocab() == tokenizer.get_vocab()


def test_the_shipped_base_is_small_enough_to_ship():
    _, processor = load()
    assert processor.tokenizer.padding_side == "left"
    assert sum(path.stat().st_size for path in BASE.iterdir()) < 10_000_000


def scores_of_the_shipped_base(items: int | None) -> dict[str, float]:
    model, processor = load()
    evaluation = {"temperature": 1.0, "batch_size": 100, "limit": items}
    recipe = Recipe.model_validate({"evaluation": evaluation})
    found = evaluate(model, processor, benchmark_sets(recipe, Path()), recipe, step=0)
    scores = {one.benchmark: one.score for one in found if one.rule == "paper"}
    assert list(scores) == list(world.BENCHMARKS)
    return scores


@pytest.mark.slow
def test_the_shipped_base_knows_something_of_every_benchmark_but_not_all():
    for benchmark, score in scores_of_the_shipped_base(None).items():
        assert world.CHANCE[benchmark] < score < 0.8, benchmark


def test_the_shipped_base_knows_something_of_some_items_of_the_benchmarks():
    scores = scores_of_the_shipped_base(40)
    chance = sum(world.CHANCE.values()) / len(scores)
    assert chance < sum(scores.values()) / len(scores) < 0.8
