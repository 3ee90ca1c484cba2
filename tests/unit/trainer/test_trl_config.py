"""What a recipe becomes in TRL's words."""

from __future__ import annotations

import dataclasses

import pytest

from trainer import recipes
from trainer.recipe import Recipe, RecipeError
from trainer.sections import Vllm

ACCELERATE = recipes.FOLDER / "accelerate"


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global GRPOConfig, TrainingArguments, decoding, decoding_of, load_config_from_file, trl_config
    global uses_autocast
    from accelerate.commands.config.config_args import load_config_from_file
    from transformers import TrainingArguments
    from trl.trainer.grpo_config import GRPOConfig

    from trainer.run import decoding, trl_config
    from trainer.run.decoding import decoding_of, uses_autocast


@pytest.fixture
def has_vllm(monkeypatch):
    """As if it were installed: nothing here imports it."""
    monkeypatch.setattr(trl_config, "find_spec", lambda name: object())


def config(tmp_path, **vllm):
    return trl_config.grpo_config(Recipe.parse({"vllm": vllm}), 0, tmp_path, processes=1)


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
    made = config(tmp_path, mode=mode)
    assert (made.use_vllm, made.generation_kwargs) == (False, None)


@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_a_recipe_that_needs_vllm_says_so_where_it_is_missing(monkeypatch, tmp_path, mode):
    monkeypatch.setattr(trl_config, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"needs vllm, which is not installed; pip install"):
        config(tmp_path, mode=mode)


def test_the_papers_numbers_reach_trl(has_vllm, tmp_path):
    made = trl_config.grpo_config(recipes.load("paper"), 42, tmp_path, processes=1)
    assert (made.beta, made.num_generations, made.max_steps) == (0.04, 6, 2000)
    assert (made.learning_rate, made.warmup_steps) == (1e-6, 200)
    assert made.per_device_train_batch_size == 12
    assert (made.adam_beta1, made.adam_beta2, made.adam_epsilon) == (0.9, 0.999, 1e-8)


def own_fields() -> set[str]:
    """What TRL adds to transformers' settings, or gives another default."""
    theirs = {field.name: field.default for field in dataclasses.fields(TrainingArguments)}
    return {
        field.name
        for field in dataclasses.fields(GRPOConfig)
        if field.name not in theirs or field.default != theirs[field.name]
    }


def test_no_default_of_trl_decides_a_run(tmp_path):
    given = trl_config.settings(Recipe(), 0, tmp_path, processes=1)
    undecided = own_fields() - set(given) - trl_config.DEPRECATED
    assert not undecided, "a new setting of TRL's: give it in trainer/run/trl_config.py"
    assert set(given) <= {field.name for field in dataclasses.fields(GRPOConfig)}
    assert not set(given) & trl_config.DEPRECATED


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("use_bias_correction_kl", False),
        ("vllm_importance_sampling_correction", True),
        ("vllm_importance_sampling_mode", "token_truncate"),
        ("vllm_importance_sampling_clip_max", 3.0),
        ("importance_sampling_level", "token"),
        ("num_iterations", 1),
        ("epsilon", 0.2),
        ("epsilon_high", 0.2),
        ("top_p", 1.0),
        ("top_k", 0),
        ("min_p", None),
        ("generation_kwargs", {"bad_words": ["<|image_pad|>"]}),
        ("repetition_penalty", 1.0),
        ("mask_truncated_completions", False),
        ("top_entropy_quantile", 1.0),
        ("sync_ref_model", False),
        ("off_policy_mask_threshold", None),
        ("loss_type", "grpo"),
        ("scale_rewards", "group"),
        ("steps_per_generation", 1),
    ],
)
def test_the_papers_run_is_grpo_as_it_was_published(has_vllm, tmp_path, setting, value):
    made = trl_config.grpo_config(recipes.load("paper"), 42, tmp_path, processes=1)
    assert getattr(made, setting) == value


def test_what_a_recipe_may_choose_reaches_trl(tmp_path):
    recipe = Recipe.parse(
        {
            "kl_correction": True,
            "importance_level": "sequence",
            "mask_truncated": True,
            "entropy_quantile": 0.2,
            "entropy_bonus": 0.01,
            "vllm": {"correction": "sequence_mask", "correction_max": 2.0},
        }
    )
    made = trl_config.grpo_config(recipe, 0, tmp_path, processes=1)
    assert made.use_bias_correction_kl
    assert made.importance_sampling_level == "sequence"
    assert made.mask_truncated_completions
    assert (made.top_entropy_quantile, made.entropy_coef) == (0.2, 0.01)
    assert made.vllm_importance_sampling_mode == "sequence_mask"
    assert made.vllm_importance_sampling_clip_max == 2.0


def test_vllms_probabilities_can_be_taken_as_they_are(tmp_path):
    assert not config(tmp_path, correction="none").vllm_importance_sampling_correction


class Gpu:
    """One that is not there."""

    def __init__(self, gib: float) -> None:
        self.total_memory = gib * 2**30


@pytest.mark.parametrize(
    ("recipe", "casts"),
    [
        ({"dtype": "bfloat16"}, False),
        ({"dtype": "bfloat16", "speed": {"plain_bfloat16": False}}, True),
        ({"dtype": "mixed"}, True),
        ({"dtype": "float32"}, False),
    ],
)
def test_nothing_is_cast_on_the_way_where_the_weights_are_in_bfloat16(
    monkeypatch, tmp_path, recipe, casts
):
    assert uses_autocast(Recipe.parse(recipe), on_gpu=True) is casts
    assert not uses_autocast(Recipe.parse(recipe), on_gpu=False)
    if recipe["dtype"] == "bfloat16":
        monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
        assert uses_autocast(Recipe.parse(recipe), on_gpu=True), "so FSDP keeps float32 weights"


@pytest.mark.parametrize(
    ("gib", "vllm", "twice"),
    [(80, "off", False), (60, "off", False), (48, "off", True), (80, "colocate", True)],
)
def test_activations_are_computed_twice_where_a_gpu_is_too_small_to_keep_them(
    has_vllm, monkeypatch, gib, vllm, twice
):
    recipe = recipes.load("single-gpu").model_copy(update={"vllm": Vllm(mode=vllm)})
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda: Gpu(gib))
    assert trl_config.checkpoints_gradients(recipe, 1) is twice
    for always in (True, False):
        said = recipe.model_copy(update={"gradient_checkpointing": always})
        assert trl_config.checkpoints_gradients(said, 1) is always


def test_without_a_gpu_activations_are_kept(tmp_path):
    made = trl_config.grpo_config(Recipe(gradient_checkpointing="auto"), 0, tmp_path, processes=1)
    assert not made.gradient_checkpointing


@pytest.mark.parametrize(
    ("recipe", "hindrance"),
    [
        ({"dtype": "mixed"}, "under autocast"),
        ({"dtype": "bfloat16"}, None),
        ({"dtype": "float32"}, None),
    ],
)
def test_decoding_is_compiled_on_a_gpu_where_it_can_be(monkeypatch, recipe, hindrance):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(decoding, "find_spec", lambda name: object())
    monkeypatch.setattr(decoding.shutil, "which", lambda name: "/usr/bin/" + name)
    assert decoding_of(Recipe.parse(recipe)).compiled is (hindrance is None)
    wanted = Recipe.parse(recipe | {"speed": {"compiled": True}})
    if hindrance is None:
        assert decoding_of(wanted).compiled
        monkeypatch.setattr(decoding.shutil, "which", lambda name: None)
        hindrance = "no C compiler"
        with pytest.warns(UserWarning, match="decoding is not compiled: there is no C compiler"):
            assert not decoding_of(Recipe.parse(recipe)).compiled
    with pytest.raises(RecipeError, match=hindrance):
        decoding_of(wanted)
    assert not decoding_of(Recipe.parse(recipe | {"speed": {"compiled": False}})).compiled


def test_on_a_cpu_decoding_is_not_compiled_unless_a_recipe_wants_it(monkeypatch):
    assert not decoding_of(Recipe()).compiled
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(RecipeError, match="FSDP or DeepSpeed"):
        decoding_of(Recipe.parse({"speed": {"compiled": True}}))


def test_a_step_that_the_processes_cannot_share_is_refused_with_what_would_be_right(tmp_path):
    recipe = Recipe.parse({"prompts_per_step": 3, "generations": 2})
    with pytest.raises(RecipeError, match=r"6 completions .* 5 processes .* a multiple of 5"):
        trl_config.grpo_config(recipe, 0, tmp_path, processes=5)
    assert trl_config.grpo_config(recipe, 0, tmp_path, 1).per_device_train_batch_size == 6


@pytest.mark.parametrize("file", sorted(ACCELERATE.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_shipped_accelerate_files_are_read_by_accelerate(file):
    config = load_config_from_file(str(file))
    assert config.num_processes == 3
    kinds = {"ddp": "MULTI_GPU", "fsdp": "FSDP", "deepspeed": "DEEPSPEED"}
    assert config.distributed_type == kinds[file.stem]


def test_the_papers_step_is_shared_by_its_three_training_gpus(tmp_path):
    paper = recipes.load("paper").model_copy(update={"vllm": Recipe().vllm})
    assert trl_config.grpo_config(paper, 42, tmp_path, processes=1).max_steps == 2000
    assert paper.completions_per_step % 3 == 0
