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
    ],
)
def test_an_impossible_value_is_refused_by_name(key, value):
    with pytest.raises(RecipeError, match=key):
        Recipe.parse({key: value})


def test_a_recipe_survives_the_way_through_the_service():
    recipe = Recipe(steps=3, learning_rate=1e-5)
    assert Recipe.parse(recipe.model_dump(mode="json")) == recipe
