"""What is taken in can be read, kept and moved again: there is an end to nesting and to numbers."""

from __future__ import annotations

import json

import pytest

from db.archive import Archive
from modomodo import archives
from service.schemas import TrialPage
from tests.bodies import scores, study_body
from tests.dashboard import own
from tests.integration.test_api_calls import finish, lease

JSON = {"Content-Type": "application/json"}


def lists(levels):
    """An object whose deepest part is that many levels down."""
    return {"a": json.loads("[" * (levels - 1) + "]" * (levels - 1))}


def objects(levels):
    value: object = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def mixed(levels):
    value: object = 1
    for level in range(levels):
        value = {"a": value, "b": 2} if (levels - level) % 2 else [3, value]
    return value


KINDS = [lists, objects, mixed]


@pytest.mark.parametrize("nested", KINDS)
def test_what_is_as_deep_as_allowed_is_listed_exported_and_imported_again(
    api, database_url, new_database, tmp_path, nested
):
    deep = nested(50)
    assert api.post("/studies", json=study_body(recipe=deep)).status_code == 201
    trial, token = lease(api)
    asked = {"worker": "w2", "capabilities": deep}
    assert api.post("/trials/next", json=asked).status_code == 200
    assert finish(api, trial, token, artifacts=deep | {"most": 2**64 - 1}).status_code == 200
    page = TrialPage.model_validate_json(api.get("/studies/vlm/trials").content)
    (kept,) = [found for found in page.trials if found.id == trial["id"]]
    assert kept.artifacts == deep | {"most": 2**64 - 1}
    text = archives.text(database_url, "vlm")
    Archive.model_validate_json(text)
    file = tmp_path / "vlm.json"
    file.write_text(text)
    there = new_database()
    archives.store(there, file, None)
    assert archives.text(there, "vlm") == text


def calls(value, token):
    """Calls that take data of any form, by address."""
    measured = {"token": token, "measurements": scores()}
    return [
        ("/studies", study_body("other", recipe={"x": value})),
        ("/trials/next", {"worker": "w", "capabilities": {"x": value}}),
        ("/trials/1/result", measured | {"artifacts": {"x": value}}),
    ]


@pytest.mark.parametrize("levels", [50, 100, 205, 254, 300, 900])
@pytest.mark.parametrize("nested", KINDS)
def test_what_is_deeper_is_refused_and_nothing_changes(api, nested, levels):
    api.post("/studies", json=study_body())
    trial, token = lease(api)
    for path, body in calls(nested(levels), token):
        answer = api.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request"), path
        assert "nested more than 50 levels" in answer.json()["detail"]
    assert finish(api, trial, token).status_code == 200


@pytest.mark.parametrize("number", [str(2**64), str(-(2**63) - 1), "9" * 4000, "1" + "0" * 100])
def test_integers_beyond_64_bits_are_refused(api, number):
    api.post("/studies", json=study_body())
    trial, token = lease(api)
    for path, body in calls("NUMBER", token):
        content = json.dumps(body).replace('"NUMBER"', f"[{number}]")
        answer = api.post(path, content=content, headers=JSON)
        assert answer.status_code == 422, path
        assert "64 bits" in answer.json()["detail"]
    assert finish(api, trial, token).status_code == 200


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused_at_any_depth(api, number):
    api.post("/studies", json=study_body())
    _, token = lease(api)
    for path, body in calls("NUMBER", token):
        content = json.dumps(body).replace('"NUMBER"', f'[{{"a": [{number}]}}]')
        assert api.post(path, content=content, headers=JSON).status_code == 422, path


@pytest.mark.parametrize(
    "text",
    [
        "[" * 300,
        "x: " + "[" * 60 + "]" * 60,
        "x: &a [*a]",
        "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        + "\n".join(f"b{n}: &b{n} [{', '.join(['*a'] * 9)}]" for n in range(9)),
        "seed: 0x" + "f" * 20_000,
        "when: 2026-02-30",
        "steps: 3\nsteps: 4",
        "{1: 2}",
        "!!set {a, b}",
        "x: !!binary aGVsbG8=",
        "x: .nan",
    ],
    ids=lambda text: text[:16],
)
def test_other_keys_of_a_new_studys_form_that_are_none_are_told_at_the_form(api, text):
    typed = {
        "name": "typed",
        "domains.0.name": "coco",
        "benchmarks.0.name": "chart",
        "benchmarks.0.samples": "100",
        "benchmarks.0.group": "out",
        "objective.name": "out_score",
        "recipe.more": text,
    }
    answer = api.post("/ui/new", data=typed, headers=own(api), follow_redirects=False)
    assert answer.status_code in (200, 303), answer.text[:200]
    if answer.status_code == 303:  # an alias that stands for little
        assert api.get("/studies/typed").status_code == 200
    else:
        assert api.get("/studies/typed").status_code == 404


def test_capabilities_are_few_and_short(api):
    def status(**capabilities):
        body = {"worker": "w", "capabilities": capabilities}
        return api.post("/trials/next", json=body).status_code

    assert status(gpus=["H100"] * 8, python="3.11", host="node-7") == 200
    assert status(**{f"k{n}": n for n in range(64)}) == 200
    assert status(**{f"k{n}": n for n in range(65)}) == 422
    assert status(text="x" * 4001) == 422
    assert status(inner={f"k{n}": n for n in range(5000)}) == 422
