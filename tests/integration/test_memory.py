"""What the estimate of memory says that autograd keeps, against what it keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from trainer.recipe import Recipe


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global AutoModelForImageTextToText, from_config, memory, peft, peft_config, published, torch
    peft = pytest.importorskip("peft")
    import torch
    from transformers import AutoModelForImageTextToText

    from trainer.planning import memory
    from trainer.planning.counting import from_config, published
    from trainer.run.adapters import peft_config


SMALL = {
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
TOKENS = 128


def config_of(name: str, blocks: int) -> Any:
    """The published model's, much narrower and with so many blocks in each part."""
    config = published(f"Qwen/{name}-Instruct")
    text, eyes = config.text_config, config.vision_config
    for key, value in SMALL.items():
        setattr(text, key, value)
    text.num_hidden_layers, text.layer_types = blocks, text.layer_types[:blocks]
    text.rope_parameters = text.rope_parameters | {"mrope_section": [8, 12, 12]}
    eyes.depth = blocks
    if hasattr(eyes, "embed_dim"):
        eyes.embed_dim, eyes.hidden_size = 256, 256
    else:
        eyes.hidden_size, eyes.intermediate_size, eyes.out_hidden_size = 256, 700, 256
        eyes.fullatt_block_indexes = list(range(blocks))
    eyes.num_heads = 4
    return config


def kept(model: Any, forward: Callable[[], Any]) -> int:
    """Bytes that autograd keeps of a pass, but for the model's own."""
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    own |= {buffer.untyped_storage().data_ptr() for buffer in model.buffers()}
    found: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in own:
            found[place] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    return sum(tensor.untyped_storage().nbytes() for tensor in found.values())


def of_a_block(measure: Callable[[int], int]) -> float:
    """What one block more takes."""
    return (measure(3) - measure(1)) / 2


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed", "float32"])
@pytest.mark.parametrize("lora", [None, {"rank": 16}], ids=["whole", "adapters"])
def test_a_block_of_the_language_model_keeps_what_the_estimate_says(dtype, lora):
    recipe = Recipe.parse({"dtype": dtype, "lora": lora, "max_pixels": 28 * 28})

    def measure(blocks: int) -> int:
        weights = torch.bfloat16 if dtype == "bfloat16" else torch.float32
        config = config_of("Qwen2-VL-2B", blocks)
        model = AutoModelForImageTextToText.from_config(config, dtype=weights).train()
        model.model.visual.requires_grad_(False)
        inner = model.model
        if lora is not None:
            model = peft.get_peft_model(model, peft_config(recipe.lora))
        ids = torch.randint(3, 500, (1, TOKENS))
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "mixed"):
            return kept(model, lambda: inner(input_ids=ids, use_cache=False))

    def estimate(blocks: int) -> float:
        shape = from_config(config_of("Qwen2-VL-2B", blocks))
        found = memory.estimate(recipe, shape)
        tokens = memory.prompt_tokens(recipe, shape) + recipe.max_completion_tokens
        return found.activations * TOKENS / (recipe.completions_per_step * tokens) + found.casts

    assert of_a_block(estimate) == pytest.approx(of_a_block(measure), rel=0.15)


@pytest.mark.parametrize("name", ["Qwen2-VL-2B", "Qwen2.5-VL-3B"])
def test_a_block_of_a_tower_that_trains_keeps_what_the_estimate_says(name):
    recipe = Recipe.parse({"dtype": "float32", "freeze_vision": False, "max_pixels": 224 * 224})
    frozen = recipe.model_copy(update={"freeze_vision": True})

    def measure(blocks: int) -> int:
        torch.manual_seed(0)
        tower = AutoModelForImageTextToText.from_config(config_of(name, blocks)).model.visual
        patches = torch.randn(16 * 16, 3 * 2 * 14 * 14)
        grid = torch.tensor([[1, 16, 16]])
        return kept(tower.train(), lambda: tower(patches, grid_thw=grid))

    def estimate(blocks: int) -> float:
        shape = from_config(config_of(name, blocks))
        trains, rests = (memory.estimate(one, shape).activations for one in (recipe, frozen))
        return (trains - rests) / recipe.completions_per_step

    assert of_a_block(estimate) == pytest.approx(of_a_block(measure), rel=0.15)
