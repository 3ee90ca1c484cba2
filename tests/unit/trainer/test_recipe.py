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
