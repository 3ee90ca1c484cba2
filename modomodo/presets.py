"""What a new study can start from: the shipped recipes, and example studies.

The service knows no trainer; who starts it hands these over for the dashboard's form.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from service.notation import yaml_text
from service.presets import Example, Presets, ShippedRecipe
from service.schemas import StudySpec
from trainer import recipes
from trainer.recipe import ELSEWHERE, Recipe, RecipeError
from trainer.worker.agreement import disagreements

STUDIES = Path(__file__).parent / "studies"


def load() -> Presets:
    """All that comes with the package."""
    shipped = {
        name: ShippedRecipe(recipes.about(name), recipes.read(name)) for name in recipes.names()
    }
    examples = {name: _example(name) for name in study_names()}
    return Presets(shipped, examples, check=_checked, fault=_fault)


def study_names() -> tuple[str, ...]:
    """Names of the example studies."""
    return tuple(sorted(path.stem for path in STUDIES.glob("*.yaml")))


def study(name: str) -> dict[str, Any]:
    """An example study as a body of `POST /studies`, its recipe written out."""
    body = dict(_example(name).study)
    return body | {"recipe": dict(recipes.read(body["recipe"]))}


def _example(name: str) -> Example:
    text = (STUDIES / f"{name}.yaml").read_text(encoding="utf-8")
    title, _, about = text.splitlines()[0].removeprefix("# ").partition(": ")
    return Example(title, about[:1].upper() + about[1:], yaml_text.load(text))


def _checked(recipe: dict[str, Any]) -> dict[str, Any]:
    return Recipe.model_validate(recipe, context=ELSEWHERE).model_dump(
        mode="json", exclude_unset=True
    )


def _fault(spec: StudySpec) -> str | None:
    """What keeps every worker from running the study's recipe; an empty one is whoever trains's."""
    if not spec.recipe:
        return None
    try:
        recipe = Recipe.parse(spec.recipe, is_here=False)
    except RecipeError as error:
        return str(error)
    names = [domain.name for domain in spec.domains]
    wrong = disagreements(recipe, names, spec.needed_benchmarks())
    return f"recipe: {'; '.join(wrong)}" if wrong else None
