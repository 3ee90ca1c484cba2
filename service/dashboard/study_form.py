"""From the typed fields of a new study to the body that the API takes, with its own messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml  # type: ignore[import-untyped]
from pydantic import ValidationError

from service.dashboard.form_fields import FormFields, flat
from service.notation import alike, requirements, yaml_text
from service.notation.levels import Level
from service.plain_errors import path_of, plain
from service.presets import Example, Presets
from service.schemas import StudySpec
from service.search.limits import LinearLimit

ROWS = {
    "domains": ("name", "samples", "lower", "upper", "zero_or_at_least"),
    "benchmarks": ("name", "samples", "weight", "base"),
    "limits": ("",),
}
"""The lists of the form, and the fields by which a row counts as filled in."""

PLAIN = (
    *("name", "note", "strategy", "opening", "budget", "gpu_hours", "lookahead", "max_active"),
    *("seed", "max_attempts", "lease_s", "weight"),
)
"""Fields that go into the body as they are."""

BLANK_ROWS = {"domains": 3, "benchmarks": 2, "limits": 1}
"""Rows that a form has at least."""

RECIPE_KEYS = {
    "model": "Model",
    "steps": "Steps",
    "prompts_per_step": "Prompts a step",
    "generations": "Completions a prompt",
    "max_completion_tokens": "Tokens a completion, at most",
    "learning_rate": "Learning rate",
    "beta": "KL coefficient",
}
"""The recipe's main keys, each with a field of its own."""

REACH = {
    "": "are ignored",
    "say": "are reported with each proposal",
    "enforce": "must last for the whole run",
}
"""What is made of the domains' numbers of samples."""


TITLES = RECIPE_KEYS | {
    "lower": "least",
    "upper": "most",
    "zero_or_at_least": "if used, at least",
    "max_active": "domains in one mixture, at most",
    "gpu_hours": "GPU-hours",
    "channels": "may spend on",
    "objectives": "improve together",
    "constraints": "floors",
    "similarity": "how alike domains are",
    "worst": "what counts",
    "max_attempts": "attempts at a trial",
    "lease_s": "lease",
    "requires": "workers must have",
    "more": "other keys",
    "base": "recipe",
    "data": "folders",
    "confirm": "its name, to delete it",
    "clone": "name of the new study",
}
"""What the form calls a field whose name is another in the API."""


class FormError(Exception):
    """What was typed makes no study; `messages` by path, those of the whole under the empty one."""

    def __init__(self, messages: Mapping[str, str]) -> None:
        super().__init__("; ".join(messages.values()))
        self.messages = messages


def blank() -> FormFields:
    """The form as it is at first."""
    return FormFields({"strategy": "auto", "objective.name": "out_score"}, ROWS)


def of_example(example: Example) -> FormFields:
    """The form filled in with an example."""
    study = dict(example.study)
    fields = flat(study | {"recipe": {"base": study["recipe"]}})
    return FormFields(fields, ROWS)


def place(path: str) -> str:
    """What the form calls the field at a path: `domains.1.upper` is "domain 2, most"."""
    parts = path.split(".")
    said = []
    if parts[0] in ROWS and len(parts) > 1:
        said.append(f"{parts[0].removesuffix('s')} {int(parts[1]) + 1}")
        parts = parts[2:]
    if parts:
        said.append(TITLES.get(parts[-1], parts[-1]).lower())
    return ", ".join(said)


def read(typed: FormFields, presets: Presets) -> StudySpec:
    """The study that was typed.

    Raises:
        FormError: it is none; with the messages of the API.
    """
    wrong: dict[str, str] = {}
    body: dict[str, Any] = {name: typed[name] for name in PLAIN if typed[name]}
    body["domains"] = [filled(row) for row in typed.rows("domains")]
    body["limits"] = limits(typed, wrong)
    body["objective"] = typed.below("objective")
    body["benchmarks"] = []
    for row in map(filled, typed.rows("benchmarks")):
        weight, base = row.pop("weight", None), row.pop("base", None)
        body["benchmarks"].append(row)
        if weight is not None:
            body["objective"].setdefault("weights", {})[row.get("name", "")] = weight
        if base is not None:
            body.setdefault("baseline", []).append(
                {"benchmark": row.get("name", ""), "score": base, "samples": row.get("samples", 1)}
            )
    body["objectives"] = objectives(typed)
    body["constraints"] = floors(typed, wrong)
    body["recipe"] = _recipe(typed, presets, wrong)
    body["requires"] = required(typed, wrong)
    body["search"] = search(typed)
    body["similarity"] = similarity(typed, wrong)
    if typed["reach"]:
        body["reach"] = reach(typed["reach"], body["recipe"], wrong)
    try:
        study = StudySpec.model_validate(body, strict=False)  # all that is typed is text
    except ValidationError as error:
        raise FormError(messages(error) | wrong) from error
    if wrong:
        raise FormError(wrong)
    return study


def objectives(typed: FormFields) -> list[str]:
    """The scores that are improved together."""
    return [name.strip() for name in typed["objectives"].split(",")] if typed["objectives"] else []


def similarity(typed: FormFields, wrong: dict[str, str]) -> dict[str, dict[str, float]]:
    """How alike domains are, from YAML; what is none goes into `wrong`."""
    names = [row["name"] for row in typed.rows("domains") if row.get("name")]
    try:
        found = alike.read(typed["similarity"])
        alike.pairs(found, names)
    except ValueError as error:
        wrong["similarity"] = str(error)
        return {}
    return found


def search(typed: FormFields) -> dict[str, Any]:
    """What the search may spend on: channels as they are chosen, and steps to pause at by number.

    Empty where nothing beside whole runs is wanted.
    """
    steps = typed["search.steps"].replace(",", " ").split()
    chosen = typed["search.channels"] or ("full" if steps else "")
    found: dict[str, Any] = {}
    if chosen:
        found["channels"] = [*chosen.split(","), *(f"step-{step}" for step in steps)]
    if typed["search.early_stopping"]:
        found["early_stopping"] = True
    if typed["search.phases"]:
        found["schedule"] = {"phases": typed["search.phases"]}
    return found


def filled(row: Mapping[str, str]) -> dict[str, Any]:
    """What was typed into a row."""
    return {field: text for field, text in row.items() if text}


def limits(typed: FormFields, wrong: dict[str, str]) -> list[dict[str, Any]]:
    """The limits that were typed; what is no limit goes into `wrong`."""
    domains = [row["name"] for row in typed.rows("domains") if row.get("name")]
    found = []
    for place, row in enumerate(typed.rows("limits")):
        try:
            found.append(LinearLimit.parse(row[""], domains).as_given())
        except ValueError as error:
            wrong[f"limits.{place}"] = str(error)
    return found


def floors(typed: FormFields, wrong: dict[str, str]) -> list[dict[str, Any]]:
    """Of lines like `scienceqa >= uniform - 0.02 with 0.9`; what is none goes into `wrong`."""
    found = []
    for line in filter(None, map(str.strip, typed["constraints"].splitlines())):
        said, _, probability = line.partition(" with ")
        try:
            name, level = Level.of_floor(said)
        except ValueError as error:
            wrong["constraints"] = f"{line!r}: {error}"
            continue
        floor = {"benchmark": name, "at_least": level.as_given}
        found.append(floor | ({"probability": probability.strip()} if probability else {}))
    return found


def required(typed: FormFields, wrong: dict[str, str]) -> dict[str, Any]:
    """What workers must have, of lines like `gpus=4`; what is none goes into `wrong`."""
    try:
        return requirements.read(filter(None, map(str.strip, typed["requires"].splitlines())))
    except ValueError as error:
        wrong["requires"] = str(error)
        return {}


def _recipe(typed: FormFields, presets: Presets, wrong: dict[str, str]) -> dict[str, Any]:
    """The chosen recipe with the fields that were filled in, and any other keys, over it."""
    given = typed.below("recipe")
    base, more = given.pop("base", ""), given.pop("more", "")
    if base and base not in presets.recipes:
        wrong["recipe.base"] = f"no recipe {base!r}; there are {', '.join(presets.recipes)}"
        return {}
    recipe = dict(presets.recipes[base].keys) if base else {}
    recipe |= {key: text for key, text in given.items() if key in RECIPE_KEYS}
    try:
        others = yaml_text.load(more) or {}
        if not isinstance(others, dict):
            raise ValueError("keys and values are wanted, as `seed: 42`")
        return presets.check(recipe | others)
    except ValidationError as error:
        for path, message in messages(error).items():
            key = path.split(".")[0]
            field = f"recipe.{key}" if key in RECIPE_KEYS else "recipe.more"
            wrong[field] = message if key in RECIPE_KEYS else f"{path}: {message}".lstrip(": ")
    except (yaml.YAMLError, ValueError) as error:
        wrong["recipe.more"] = f"this is not YAML: {error}" if more else str(error)
    return {}


def reach(wanted: str, recipe: Mapping[str, Any], wrong: dict[str, str]) -> dict[str, Any] | None:
    """How far samples last by what a recipe asks for; what that lacks goes into `wrong`."""
    try:
        return {
            "steps": recipe["steps"],
            "prompts_per_step": recipe["prompts_per_step"],
            "enforce": wanted == "enforce",
        }
    except KeyError as missing:
        wrong["reach"] = f"how far samples last needs the recipe's {missing.args[0]}"
        return None


def messages(error: ValidationError) -> dict[str, str]:
    """What is wrong, by path."""
    found: dict[str, str] = {}
    for item in error.errors():
        found.setdefault(path_of(item), plain(item))
    return found
