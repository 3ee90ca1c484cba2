"""The recipes that come with the package, and reading recipes from files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from service.notation import yaml_text
from trainer.recipe import Recipe, RecipeError

FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """Names of the shipped recipes."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def about(name: str) -> str:
    """The comment that a shipped recipe begins with."""
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    head = lines[: next((i for i, line in enumerate(lines) if not line.startswith("#")), None)]
    return " ".join(line.lstrip("# ") for line in head)


def load(what: str) -> Recipe:
    """A shipped recipe by its name, or one from a YAML or JSON file.

    A file that is a study (it has a section `recipe`) gives that study's recipe.

    Raises:
        RecipeError: no such name or file, not YAML, or a key is wrong.
    """
    return Recipe.parse(read(what))


def read(what: str) -> Mapping[str, Any]:
    """The same, as it is written: only the keys that are there.

    Raises:
        RecipeError: no such name or file, or not YAML.
    """
    path = FOLDER / f"{what}.yaml" if what in names() else Path(what)
    try:
        raw = yaml_text.load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(
            f"no recipe {what!r} and no such file; known: {', '.join(names())}"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"cannot read {path}: {error}") from error
    raw = {} if raw is None else raw
    if isinstance(raw, dict) and isinstance(raw.get("recipe"), dict) and "domains" in raw:
        raw = raw["recipe"]
    if not isinstance(raw, dict):
        raise RecipeError(f"{path} holds a {type(raw).__name__}, not keys and values")
    return raw
