"""Models that come with generation settings of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import TRAINING_S
from trainer.job import Job
from trainer.recipe import Recipe


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global GenerationConfig, answers_of, benchmark_sets, models, peft_config, run, save_qwen2_vl
    from transformers import GenerationConfig

    from tests.support.vlm import save_qwen2_vl
    from trainer.data import benchmark_sets
    from trainer.run import models, run
    from trainer.run.adapters import peft_config
    from trainer.run.answers import answers as answers_of


pytestmark = pytest.mark.timeout(TRAINING_S)

CHATTY = {
    "do_sample": True,
    "repetition_penalty": 1.3,
    "top_k": 1,
    "top_p": 0.5,
    "min_p": 0.9,
    "temperature": 0.01,
    "no_repeat_ngram_size": 2,
    "min_new_tokens": 20,
    "num_return_sequences": 1,
}
"""As a published model may bring them, and worse."""
LORA = {"lora": {"rank": 4, "alpha": 8}}


def answers(model, processor, temperature: float) -> list[str]:
    recipe = Recipe.parse({"evaluation": {"temperature": temperature, "limit": 6}})
    rows = benchmark_sets(recipe, Path())["sat"].rows
    return answers_of(model, processor, rows, recipe, "sat")


def chatty(model) -> GenerationConfig:
    """Gives the model such settings; its special tokens stay."""
    own = model.generation_config
    tokens = {"eos_token_id": own.eos_token_id, "pad_token_id": own.pad_token_id}
    model.generation_config = GenerationConfig(**CHATTY, **tokens)
    return model.generation_config


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("recipe", [{}, LORA], ids=["whole", "adapters"])
def test_answers_of_an_evaluation_are_the_same_whatever_a_model_would_do_by_itself(
    temperature, recipe
):
    model, processor = models.load(Recipe.parse(recipe))
    if recipe:
        peft = pytest.importorskip("peft")
        model = peft.get_peft_model(model, peft_config(Recipe.parse(recipe).lora))
    plain = answers(model, processor, temperature)
    inner = model.get_base_model() if recipe else model
    own = chatty(inner)
    assert answers(model, processor, temperature) == plain
    assert inner.generation_config is own, "a checkpoint has them as they came"


def test_every_end_that_the_model_or_its_tokenizer_names_ends_an_answer():
    model, processor = models.load(Recipe())
    plain = answers(model, processor, 0.0)
    model.generation_config.eos_token_id = None
    assert answers(model, processor, 0.0) == plain, "the tokenizer's"
    comma = processor.tokenizer.encode(plain[0], add_special_tokens=False)[2]
    model.generation_config.eos_token_id = [comma]
    shorter = answers(model, processor, 0.0)
    assert len(shorter[0]) < len(plain[0]), "the model's"


def test_training_completions_are_the_same_whatever_a_model_would_do_by_itself(tmp_path):
    folder = save_qwen2_vl(tmp_path / "model")
    recipe = {
        "model": str(folder),
        "steps": 2,
        "prompts_per_step": 2,
        "generations": 4,
        "max_completion_tokens": 12,
        "evaluation": {"limit": 1},
    }
    curves = []
    for name in ("plain", "chatty"):
        job = Job({"sat": 1.0}, Recipe.parse(recipe), seed=3, folder=tmp_path / name)
        run.train_and_score(job)
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        curves.append(
            [{k: v for k, v in json.loads(line).items() if k != "step_s"} for line in lines]
        )
        GenerationConfig(**CHATTY, eos_token_id=2, pad_token_id=0).save_pretrained(folder)
    assert curves[0] == curves[1]
