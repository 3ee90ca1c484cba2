"""What a new study can start from: recipes and example studies, handed in when the app is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ShippedRecipe:
    """A recipe to choose: what it is in words, and its keys as they are written."""

    about: str
    keys: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Example:
    """A study to begin with; `study` is a body of `POST /studies` whose recipe is a name."""

    title: str
    about: str
    study: Mapping[str, Any]


def _unchecked(recipe: dict[str, Any]) -> dict[str, Any]:
    return recipe


@dataclass(frozen=True, slots=True)
class Presets:
    """Recipes and examples by name.

    Attributes:
        check: a recipe with its values in their types; raises `pydantic.ValidationError`. Without
            one recipes are kept as they are, as the API keeps them.
    """

    recipes: Mapping[str, ShippedRecipe] = field(default_factory=dict)
    examples: Mapping[str, Example] = field(default_factory=dict)
    check: Callable[[dict[str, Any]], dict[str, Any]] = _unchecked
