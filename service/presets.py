"""What a new study can start from, and what its recipe may be.

Handed in when the app is made, since the service knows no trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.schemas import StudySpec


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


def _none(spec: StudySpec) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Presets:
    """Recipes and examples by name.

    Attributes:
        check: a recipe with its values in their types; raises `pydantic.ValidationError`. Without
            one recipes are kept as they are.
        fault: why a new study's recipe cannot be run, or cannot be that study's; None where it can.
    """

    recipes: Mapping[str, ShippedRecipe] = field(default_factory=dict)
    examples: Mapping[str, Example] = field(default_factory=dict)
    check: Callable[[dict[str, Any]], dict[str, Any]] = _unchecked
    fault: Callable[[StudySpec], str | None] = _none
