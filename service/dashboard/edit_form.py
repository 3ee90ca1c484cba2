"""The form of a study that is changed: filled in with what it is, and read as what was changed.

What it was filled in with is sent along, so that only what a person touched is changed: what others
changed meanwhile stays, and numbers are not rounded by being shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml  # type: ignore[import-untyped]
from pydantic import ValidationError

from service.dashboard import study_form
from service.dashboard.form_fields import FormFields, flat
from service.dashboard.study_form import FormError, messages
from service.notation import requirements, yaml_text
from service.schemas import AGGREGATES, Study, StudyPatch
from service.schemas.spec import FULL, MERGED, step_of
from service.schemas.studies import MAX_BUDGET

PLAIN = (
    *("name", "note", "strategy", "opening", "budget", "gpu_hours", "lookahead", "max_active"),
    *("max_attempts", "lease_s", "weight"),
)
"""Fields that go into the body as they are."""

REMOVED_WHEN_EMPTY = ("gpu_hours", "max_active")


def of_study(study: Study) -> FormFields:
    """The form filled in with a study as it is."""
    body = study.model_dump(mode="json", include={*PLAIN, "domains"})
    body["opening"] = "" if study.opening == "optimal" else study.opening
    if study.gpu_hours is not None and study.budget == MAX_BUDGET:
        body["budget"] = None
    body["limits"] = [limit.describe() for limit in study.limits]
    base = {m.benchmark: m.score for m in study.baseline if m.rule == "paper"}
    weights = study.objective.weights or {}
    body["benchmarks"] = [
        benchmark.model_dump() | {"weight": weights.get(name), "base": base.get(name)}
        for benchmark in study.benchmarks
        for name in (benchmark.name,)
    ]
    body["objective"] = study.objective.model_dump(include={"name", "direction"})
    body["objective"]["worst"] = "true" if study.objective.worst else ""
    body["objectives"] = ", ".join(study.objectives)
    body["constraints"] = "\n".join(
        f"{floor.benchmark} >= {floor.level} with {floor.probability:g}"
        for floor in study.constraints
    )
    body["requires"] = "\n".join(requirements.written(study.requires.model_dump()))
    body["search"] = {
        "channels": f"{FULL},{MERGED}" if MERGED in study.search.channels else "",
        "steps": " ".join(str(step) for step in map(step_of, study.search.channels) if step),
        "early_stopping": "yes" if study.search.early_stopping else "",
    }
    if study.reach is not None:
        body["reach"] = "enforce" if study.reach.enforce else "say"
    body["similarity"] = yaml.safe_dump(study.similarity) if study.similarity else ""
    data = study.recipe.get("data")
    body["recipe"] = {"data": yaml.safe_dump(data, sort_keys=False) if data else ""}
    return FormFields({path: _short(text) for path, text in flat(body).items()}, study_form.ROWS)


def _short(text: str) -> str:
    return text.removesuffix(".0") if text.removesuffix(".0").isdecimal() else text


def written(fields: FormFields) -> str:
    """Fields as one text, to be sent along with the form."""
    return json.dumps(fields.everything())


def sent_along(text: str) -> FormFields:
    """What `written` wrote; nothing of what is none."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        found = {}
    return FormFields({str(key): str(value) for key, value in found.items()}, study_form.ROWS)


def read(typed: FormFields, was: FormFields, study: Study) -> StudyPatch:
    """What was changed.

    Raises:
        FormError: it cannot be read; with the messages of the API.
    """
    wrong: dict[str, str] = {}
    body: dict[str, Any] = {}
    for name in PLAIN:
        if typed[name] == was[name]:
            continue
        if typed[name] or name == "note":
            body[name] = typed[name]
        elif name == "opening":
            body[name] = "optimal"
        elif name in REMOVED_WHEN_EMPTY:
            body.setdefault("remove", []).append(name)
        else:
            wrong[name] = "is empty; say what it is to be"
    if typed.rows("domains") != was.rows("domains"):
        body["domains"] = [study_form.filled(row) for row in typed.rows("domains")]
    if typed.rows("limits") != was.rows("limits"):
        body["limits"] = study_form.limits(typed, wrong)
    if (objective := _objective(typed)) != _objective(was):
        body["objective"] = objective
    if typed["objectives"] != was["objectives"]:
        body["objectives"] = study_form.objectives(typed)
    if (floors := study_form.floors(typed, wrong)) != study_form.floors(was, {}):
        body["constraints"] = floors
    if typed["requires"].splitlines() != was["requires"].splitlines():
        body["requires"] = study_form.required(typed, wrong)
    if (search := study_form.search(typed)) != study_form.search(was):
        body["search"] = search
    if typed["similarity"].splitlines() != was["similarity"].splitlines():
        body["similarity"] = study_form.similarity(typed, wrong)
    if typed["reach"] != was["reach"]:
        _reach(typed["reach"], study, body, wrong)
    if typed["recipe.data"] != was["recipe.data"]:
        body["recipe"] = _with_data(study, typed["recipe.data"], wrong)
    try:
        patch = StudyPatch.model_validate(body, strict=False)  # all that is typed is text
    except ValidationError as error:
        raise FormError(messages(error) | wrong) from error
    if wrong:
        raise FormError(wrong)
    return patch


def _objective(typed: FormFields) -> dict[str, Any]:
    rows = typed.rows("benchmarks")
    weights = {row["name"]: row["weight"] for row in rows if row.get("weight") and row.get("name")}
    is_own = typed["objective.name"] not in AGGREGATES and not typed["objective.worst"]
    return typed.below("objective") | ({"weights": weights} if is_own or weights else {})


def _reach(wanted: str, study: Study, body: dict[str, Any], wrong: dict[str, str]) -> None:
    if not wanted:
        body.setdefault("remove", []).append("reach")
    elif study.reach is not None:
        body["reach"] = study.reach.model_dump() | {"enforce": wanted == "enforce"}
    else:
        body["reach"] = study_form.reach(wanted, study.recipe, wrong)


def _with_data(study: Study, text: str, wrong: dict[str, str]) -> Mapping[str, Any]:
    try:
        data = yaml_text.load(text)
        if not isinstance(data, dict):
            raise ValueError("keys and values are wanted: `domains` and `benchmarks`")
    except (yaml.YAMLError, ValueError) as error:
        wrong["recipe.data"] = f"this is not YAML: {error}"
        return study.recipe
    return study.recipe | {"data": data}
