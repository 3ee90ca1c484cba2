"""Whatever a caller sends has an upper bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from service.app import create_app

BOUNDED = {
    "string": {"maxLength", "enum", "const", "format", "pattern"},
    "array": {"maxItems"},
    "object": {"maxProperties"},
}
KEPT_AS_IT_IS = {
    *("Result.artifacts", "StudySpec.recipe", "StudyPatch.recipe", "StudyClone.recipe"),
}
"""JSON that nothing here looks into; the size of the body is its bound."""


def unbounded(schema: Any, at: str, known: dict[str, Any], seen: set[str]) -> Iterator[str]:
    """Places of a schema, and of all that it refers to, where something may be of any length."""
    if isinstance(schema, list):
        for part in schema:
            yield from unbounded(part, at, known, seen)
    if not isinstance(schema, dict):
        return
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name and name not in seen:
        seen.add(name)
        yield from unbounded(known[name], name, known, seen)
    kind = schema.get("type")
    is_open = kind != "object" or schema.get("additionalProperties", False) is not False
    if kind in BOUNDED and is_open and not BOUNDED[kind] & schema.keys():
        yield at
    for word in ("items", "anyOf", "oneOf", "allOf", "additionalProperties"):
        yield from unbounded(schema.get(word), at, known, seen)
    for field, part in schema.get("properties", {}).items():
        yield from unbounded(part, f"{at}.{field}", known, seen)


def test_every_string_list_and_map_of_a_request_has_a_greatest_length():
    said = create_app().openapi()
    sent = [
        (f"{method} {path}", schema)
        for path, calls in said["paths"].items()
        for method, call in calls.items()
        for schema in (
            *(parameter["schema"] for parameter in call.get("parameters", [])),
            *(body["schema"] for body in call.get("requestBody", {}).get("content", {}).values()),
        )
    ]
    assert len(sent) > 30
    seen: set[str] = set()
    known = said["components"]["schemas"]
    found = {place for at, schema in sent for place in unbounded(schema, at, known, seen)}
    assert "StudySpec" in seen
    assert found == KEPT_AS_IT_IS
