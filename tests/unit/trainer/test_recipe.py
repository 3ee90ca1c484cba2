"""Recipes are checked before anything is trained."""

import pytest

from trainer.recipe import Recipe, RecipeError


def test_an_empty_recipe_is_the_built_in_one():
    assert Recipe.parse({}) == Recipe()


def test_an_unknown_key_is_refused_with_the_nearest_known_one():
    with pytest.raises(RecipeError, match=r"unknown key 'learning_rat'.*'learning_rate'"):
        Recipe.parse({"learning_rat": 1e-4})
    with pytest.raises(RecipeError, match=r"unknown key 'evaluation.limt'.*'evaluation.limit'"):
        Recipe.parse({"evaluation": {"limt": 5}})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("generations", 1),
        ("steps", -1),
        ("world", "../../etc"),
        ("reward_weights", {"length": 1}),
        ("reward_weights", {"length-penalty": -1}),
    ],
)
def test_an_impossible_value_is_refused_by_name(key, value):
    with pytest.raises(RecipeError, match=key):
        Recipe.parse({key: value})


def test_a_recipe_survives_the_way_through_the_service():
    recipe = Recipe(steps=3, learning_rate=1e-5)
    assert Recipe.parse(recipe.model_dump(mode="json")) == recipe


DATA = {"domains": {"coco": "coco-train"}, "benchmarks": {"lisa": "tests/lisa"}}


def test_a_recipe_names_prepared_folders_below_the_workers_own():
    recipe = Recipe.parse({"data": DATA})
    assert recipe.data is not None
    assert recipe.data.benchmarks == {"lisa": "tests/lisa"}


@pytest.mark.parametrize("folder", ["", "/etc", "../secrets", "a/../../b", "a\0b"])
def test_a_recipe_names_no_folder_elsewhere(folder):
    with pytest.raises(RecipeError, match=r"data.domains.coco.*below the worker's data folder"):
        Recipe.parse({"data": DATA | {"domains": {"coco": folder}}})


def test_prompts_without_reasoning_are_for_scoring_only():
    assert Recipe.parse({"prompt": "plain", "steps": 0}).prompt == "plain"
    with pytest.raises(RecipeError, match="earn no reward"):
        Recipe.parse({"prompt": "plain", "steps": 1})


OLD = {
    "world": "tiny",
    "data": None,
    "prompt": "tiny",
    "steps": 24,
    "prompts_per_step": 8,
    "generations": 8,
    "max_completion_tokens": 32,
    "temperature": 1.0,
    "learning_rate": 1.6e-4,
    "schedule": "linear",
    "warmup_share": 0.0,
    "beta": 0.0,
    "freeze_vision": True,
    "reward_weights": {"format": 1.0, "accuracy": 2.0, "iou": 2.0},
    "threads": 1,
    "evaluation": {"temperature": 1.0, "batch_size": 100, "limit": None, "split": "test"},
}


def test_a_study_stored_before_there_were_other_models_still_means_the_same():
    assert Recipe.parse(OLD) == Recipe()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"lora": {"rnk": 8}}, r"unknown key 'lora.rnk'.*'lora.rank'"),
        ({"checkpoints": {"evry": 8}}, r"'checkpoints.every'"),
        ({"adamw": {"beta_1": 0.9}}, r"'adamw.beta1'"),
        ({"evaluation": {"at": [1500, 500]}}, "evaluation points rise"),
        ({"gradient_accumulation": 5}, "64 completions a step .* cannot be cut into 5 pieces"),
        ({"backend": "command"}, "needs the section 'command'"),
        ({"backend": "command", "command": {"script": "/bin/sh"}}, "below the worker's"),
        ({"lora": {}, "freeze_vision": False}, "freeze_vision: true"),
    ],
)
def test_what_cannot_run_is_refused_in_words(raw, said):
    with pytest.raises(RecipeError, match=said):
        Recipe.parse(raw)


def test_the_last_step_is_scored_also_where_a_run_ends_before_an_evaluation_point():
    recipe = Recipe.parse({"evaluation": {"at": [500, 1500, 2000]}})
    assert recipe.evaluation_points(2000) == (500, 1500, 2000)
    assert recipe.evaluation_points(663) == (500, 663)
    assert recipe.evaluation_points(0) == (0,)


@pytest.mark.parametrize("seed", [-1, 2**31, 2**64, 0.5])
def test_a_seed_that_no_run_can_have_is_refused(seed):
    with pytest.raises(RecipeError, match="seed"):
        Recipe.parse({"seed": seed})


def test_the_largest_seed_is_taken():
    assert Recipe.parse({"seed": 2**31 - 1}).seed == 2**31 - 1
