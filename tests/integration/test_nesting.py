"""What is taken in can be read, kept and moved again: there is an end to nesting and to numbers."""

from __future__ import annotations

import itertools
import json

import pytest
import typer

from db import leases
from db.archive import Archive
from modomodo import archives
from modomodo import trial as trials_command
from service.schemas import Measurement, TrialPage
from service.study import views
from tests.integration.test_api_calls import finish, lease
from tests.support.bodies import scores, study_body
from tests.support.dashboard import own

JSON = {"Content-Type": "application/json"}
MEASURED = [Measurement.model_validate(item) for item in scores()]


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


def test_what_is_deeper_is_refused_and_nothing_changes(api):
    api.post("/studies", json=study_body())
    trial, token = lease(api)
    for nested, levels in itertools.product(KINDS, [50, 100, 205, 254, 300, 900]):
        for path, body in calls(nested(levels), token):
            answer = api.post(path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request"), path
            assert "nested more than 50 levels" in answer.json()["detail"]
    assert finish(api, trial, token).status_code == 200


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ([str(2**64), str(-(2**63) - 1), "9" * 4000, "1" + "0" * 100], "64 bits"),
        (["NaN", "Infinity", "-Infinity", "1e999"], "finite"),
    ],
)
def test_numbers_that_not_everyone_can_read_are_refused_at_any_depth(api, numbers, says):
    api.post("/studies", json=study_body())
    trial, token = lease(api)
    for number in numbers:
        for path, body in calls("NUMBER", token):
            content = json.dumps(body).replace('"NUMBER"', f'[{{"a": [{number}]}}]')
            answer = api.post(path, content=content, headers=JSON)
            assert answer.status_code == 422, path
            assert says in answer.json()["detail"]
    assert finish(api, trial, token).status_code == 200


ODD = [
    "[" * 300,
    "x: " + "[" * 60 + "]" * 60,
    "x: &a [*a]",
    "a: &a [1, 1]\n"
    + "\n".join(f"b{n}: &b{n} [*{'a' if n == 0 else f'b{n - 1}'}]" for n in range(60)),
    "seed: 0x" + "f" * 20_000,
    "when: 2026-02-30",
    "steps: 3\nsteps: 4",
    "{1: 2}",
    "!!set {a, b}",
    "x: !!binary aGVsbG8=",
    "x: .nan",
]


def test_other_keys_of_a_new_studys_form_that_are_none_are_told_at_the_form(api):
    typed = {
        "name": "typed",
        "domains.0.name": "coco",
        "benchmarks.0.name": "chart",
        "benchmarks.0.samples": "100",
        "benchmarks.0.group": "out",
        "objective.name": "out_score",
    }
    for text in ODD:
        sent = typed | {"recipe.more": text}
        answer = api.post("/ui/new", data=sent, headers=own(api), follow_redirects=False)
        assert answer.status_code == 200, text[:50]
        assert api.get("/studies/typed").status_code == 404
    answer = api.post("/ui/new", data=typed, headers=own(api), follow_redirects=False)
    assert answer.status_code == 303


def test_capabilities_are_few_and_short(api):
    def status(**capabilities):
        body = {"worker": "w", "capabilities": capabilities}
        return api.post("/trials/next", json=body).status_code

    assert status(gpus=["H100"] * 8, python="3.11", host="node-7") == 200
    assert status(**{f"k{n}": n for n in range(64)}) == 200
    assert status(**{f"k{n}": n for n in range(65)}) == 422
    assert status(text="x" * 4001) == 422
    assert status(inner={f"k{n}": n for n in range(5000)}) == 422


def test_what_was_stored_before_there_was_a_limit_can_still_be_moved(
    api, database, database_url, new_database, tmp_path
):
    api.post("/studies", json=study_body())
    trial, token = lease(api)
    deep = objects(150)
    with database.write() as session:
        leases.finish(session, trial["id"], token, views.readings(MEASURED), artifacts=deep)
    file = tmp_path / "vlm.json"
    file.write_text(archives.text(database_url, "vlm"))
    there = new_database()
    archives.store(there, file, None)
    assert archives.text(there, "vlm") == file.read_text()


@pytest.mark.parametrize("text", ["[" * 100_000, f"[{'9' * 10_000}]"], ids=["deep", "long"])
def test_a_file_of_scores_that_nobody_can_read_is_told_in_one_line(tmp_path, text):
    file = tmp_path / "scores.json"
    file.write_text(text)
    with pytest.raises(typer.BadParameter, match=r"scores\.json is not JSON"):
        trials_command._read(str(file))
