"""How vLLM is asked where it is in the training processes. Nothing here imports it: what it would
make of prompts is recorded."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from PIL import Image

from trainer.recipe import Recipe
from trainer.rows import Row
from trainer.sampler import Order
from trainer.tiny.world import domain_rows


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global ItemSet, MixtureTrainer, Prompts, RewardLog, VLLMGeneration, answers, grpo, grpo_trainer
    global models, one_token_an_image, room_for, trl_config
    from trl.generation.vllm_generation import VLLMGeneration
    from trl.trainer import grpo_trainer

    from trainer.data import ItemSet
    from trainer.run import grpo, models, trl_config
    from trainer.run.answers import answers
    from trainer.run.grpo import MixtureTrainer
    from trainer.run.learning_curve import RewardLog
    from trainer.run.training_set import Prompts
    from trainer.run.vllm_engine import one_token_an_image, room_for


PAD = 151655
"""Qwen2-VL's token of a picture."""
START, END, TEXT = 151652, 151653, 9707


def expanded_by_vllm(prompt: list[int], features: list[int]) -> list[int]:
    """As vLLM 0.22 to 0.30 puts a picture's tokens in: in place of the first token of each picture,
    wherever one is found after the last; what it recorded of 1,057 tokens for 529 features."""
    made, left = [], list(features)
    for token in prompt:
        made += [PAD] * left.pop(0) if token == PAD and left else [token]
    return made


def test_a_picture_is_expanded_once_and_not_twice():
    by_trl = [TEXT, START, *[PAD] * 529, END, TEXT]
    assert expanded_by_vllm(by_trl, [529]).count(PAD) == 1057, "what TRL 1.16 alone comes to"
    prompt = one_token_an_image(by_trl, PAD)
    assert prompt == [TEXT, START, PAD, END, TEXT]
    assert expanded_by_vllm(prompt, [529]) == by_trl


@pytest.mark.parametrize(
    ("prompt", "collapsed"),
    [
        ([START, PAD, PAD, END, START, PAD, END], [START, PAD, END, START, PAD, END]),
        ([TEXT, TEXT, 5], [TEXT, TEXT, 5]),
        ([], []),
        ([PAD, PAD], [PAD]),
    ],
)
def test_each_picture_of_a_prompt_keeps_one_token_and_words_keep_theirs(prompt, collapsed):
    assert one_token_an_image(prompt, PAD) == collapsed


class Llm:
    """Notes what it is asked for, and says the token 7 once for each of a prompt's pictures."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict, SimpleNamespace]] = []

    def generate(self, prompts, sampling_params, use_tqdm):
        each = (
            sampling_params
            if isinstance(sampling_params, list)
            else [sampling_params] * len(prompts)
        )
        self.asked += zip(prompts, each, strict=True)
        return [
            SimpleNamespace(
                prompt_token_ids=prompt["prompt_token_ids"],
                outputs=[SimpleNamespace(token_ids=[7, 8], logprobs=None)],
            )
            for prompt in prompts
        ]


class WithoutVllm:
    """What TRL's `VLLMGeneration` does, but for starting vLLM."""

    def __init__(self, model, accelerator, processing_class, mode, max_num_seqs, **options) -> None:
        self.model, self.accelerator, self.mode = model, accelerator, mode
        self.processing_class, self.max_num_seqs = processing_class, max_num_seqs
        self.llm, self.synced = Llm(), []
        self.generation_kwargs = options["generation_kwargs"] or {}
        self.tensor_parallel_size, self.enable_sleep_mode = 1, False
        self.temperature = self.top_p = self.repetition_penalty = 1.0
        self.top_k, self.min_p, self.logprobs, self.max_completion_length = 0, None, 0, 8
        self.structured_outputs_regex = None

    def sync_weights(self) -> None:
        self.synced.append(True)


@pytest.fixture
def trainer_of(monkeypatch, tmp_path):
    stand_in = type("Generation", (WithoutVllm, VLLMGeneration), {})
    monkeypatch.setattr(grpo_trainer, "VLLMGeneration", stand_in)
    monkeypatch.setattr(trl_config, "find_spec", lambda name: object())
    sampling = SimpleNamespace(SamplingParams=lambda **options: SimpleNamespace(**options))
    monkeypatch.setitem(sys.modules, "vllm", sampling)
    monkeypatch.setattr(
        sys.modules[VLLMGeneration.__module__],
        "SamplingParams",
        sampling.SamplingParams,
        raising=False,
    )
    monkeypatch.setattr(
        sys.modules[VLLMGeneration.__module__],
        "extract_logprobs",
        lambda outputs: ([[[0.0]] * 2] * len(outputs), None),
    )

    def make(**recipe) -> MixtureTrainer:
        parsed = Recipe.parse({"vllm": {"mode": "colocate"}, "max_completion_tokens": 8} | recipe)
        model, processor = models.load(parsed)
        prompts = Prompts(
            {"sat": ItemSet(domain_rows("sat"))}, Order((("sat", 0), ("sat", 1)), None), "tiny", 8
        )
        return grpo.MixtureTrainer(
            recipe=parsed,
            model=model,
            processor=processor,
            prompts=prompts,
            rewards=RewardLog(parsed.reward_weights),
            seed=0,
            output=tmp_path,
        )

    return make


def test_training_hands_pictures_with_one_token_each_to_a_colocated_engine(trainer_of):
    trainer = trainer_of()
    token = trainer.processing_class.image_token_id
    image = Image.new("RGB", (64, 64))
    completions, _ = trainer._generate_single_turn(
        [[5, *[token] * 16, 6], [5, 6]], [[image], None], {}, 2
    )
    [(with_picture, sampling), (without, _)] = trainer.vllm_generation.llm.asked
    assert with_picture["prompt_token_ids"] == [5, token, 6]
    assert with_picture["multi_modal_data"] == {"image": image}
    assert without == {"prompt_token_ids": [5, 6]}
    assert completions == [[7, 8], [7, 8]]
    picture = trainer.processing_class.tokenizer.decode([token])
    assert sampling.bad_words == [picture], "a drawn one would have no features"


def test_a_server_is_handed_prompts_as_they_are(trainer_of):
    trainer = trainer_of()
    trainer.vllm_mode = "server"
    token = trainer.processing_class.image_token_id
    trainer._generate_single_turn([[5, token, token]], None, {}, 2)
    assert trainer.vllm_generation.llm.asked[0][0]["prompt_token_ids"] == [5, token, token]


def test_an_evaluation_is_answered_by_the_engine_once_it_has_the_models_weights(trainer_of):
    trainer = trainer_of(max_pixels=64 * 64, evaluation={"batch_size": 3, "max_tokens": 5})
    recipe, engine = trainer._recipe, trainer.engine
    large = Image.new("RGB", (128, 128))
    rows = [
        Row("a", "sat", (large,), "Which?", "A", "choice"),
        Row("b", "sat", (large, large), "Which one?", "A", "choice"),
        Row("c", "sat", (), "And now?", "A", "choice"),
    ]
    options = {"engine": engine}
    found = answers(trainer.model, trainer.processing_class, rows, recipe, "sat", **options)
    assert len(set(found)) == 1
    answers(trainer.model, trainer.processing_class, rows, recipe, "sat", **options)
    assert trainer.vllm_generation.synced == [True], "once for a step"
    token = trainer.processing_class.image_token_id
    asked = {
        len(prompt.get("multi_modal_data", {}).get("image", [])): (prompt, sampling)
        for prompt, sampling in trainer.vllm_generation.llm.asked[:3]
    }
    assert {n: prompt["prompt_token_ids"].count(token) for n, (prompt, _) in asked.items()} == {
        0: 0,
        1: 1,
        2: 2,
    }
    prompt, sampling = asked[1]
    small = prompt["multi_modal_data"]["image"][0]
    assert small.size == (64, 64), "scaled to the recipe's cap"
    assert (sampling.max_tokens, sampling.temperature, sampling.n) == (5, 1.0, 1)
    assert trainer.processing_class.tokenizer.eos_token_id in sampling.stop_token_ids
    assert sampling.bad_words == [trainer.processing_class.image_token]
    seeds = [sampling.seed for _, sampling in trainer.vllm_generation.llm.asked]
    assert len(set(seeds)) == 3
    assert seeds[:3] == seeds[3:], "each item has its own"


def test_the_engine_has_room_for_an_evaluations_batch(trainer_of):
    assert trainer_of(evaluation={"batch_size": 256}).vllm_generation.max_num_seqs == 256
    stand_in = grpo_trainer.VLLMGeneration
    alone = trainer_of(speed={"evaluation_by_vllm": False})
    assert alone.vllm_generation.max_num_seqs == 64
    assert alone.engine is None
    with room_for(3):
        assert grpo_trainer.VLLMGeneration is not stand_in
    assert grpo_trainer.VLLMGeneration is stand_in


def test_an_engine_that_is_shared_out_answers_no_evaluation(trainer_of):
    assert trainer_of().engine is not None
    shared = {"mode": "colocate", "tensor_parallel_size": 2}
    assert trainer_of(vllm=shared).engine is None
